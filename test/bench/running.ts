/** Services as processes of their own, as operators run them, for what is measured over HTTP. */
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from '@dslog/testbed/program'
import { DSLOG } from '../repository.ts'
import type { Bench } from './harness.ts'
import { createDatabase } from './server.ts'

/** The operator's token of a log. */
export const TOKEN = 'benchmark'
/** From one look whether a server answers to the next, ms. */
const AGAIN_MS = 50

/** A log service on a database of its own; its URL. */
export async function startLog(
  bench: Bench,
  server: string,
  settings: Readonly<Record<string, string>> = {},
): Promise<string> {
  const port = await freePort()
  const environment = {
    ...process.env,
    DATABASE_URL: await createDatabase(bench, server),
    DSLOG_DATA: bench.folder(),
    DSLOG_LOG_LEVEL: 'error',
    DSLOG_LOG_PORT: String(port),
    DSLOG_LOG_PUBLISH_INTERVAL: '50ms',
    DSLOG_OPERATOR_TOKEN: TOKEN,
    ...settings,
  }
  const url = await start(bench, [DSLOG, 'log', '--create'], port, environment)
  environments.set(url, environment)
  return url
}

/** What logs run with, by their URLs. */
const environments = new Map<string, NodeJS.ProcessEnv>()

/** What tells a process that only reads from others. */
export const READ_ONLY = '--read-only'

/** A process that only reads what a log writes; its URL. */
export function startReader(bench: Bench, log: string): Promise<string> {
  return startReaderWith(bench, environments.get(log)!)
}

/** The same of a log that no such process writes. */
export async function startReaderWith(
  bench: Bench,
  environment: NodeJS.ProcessEnv,
): Promise<string> {
  const port = await freePort()
  const env = { ...environment, DSLOG_LOG_PORT: String(port) }
  return start(bench, [DSLOG, 'log', READ_ONLY], port, env)
}

/** Starts a program of Node that serves `/checkpoint` when it is ready; its URL. */
export async function start(
  bench: Bench,
  args: readonly string[],
  port: number,
  env: NodeJS.ProcessEnv,
): Promise<string> {
  const program = bench.start(args.slice(1).join(' '), process.execPath, args, env)
  const url = `http://127.0.0.1:${port}`
  await program.until(async () => {
    const answer = await fetch(`${url}/checkpoint`).catch(() => undefined)
    await answer?.arrayBuffer()
    if (answer?.ok === true) return true
    await sleep(AGAIN_MS)
    return false
  })
  return url
}
