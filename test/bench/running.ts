/** Services as processes of their own, as operators run them, for what is measured over HTTP. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { sql } from 'kysely'
import { openDatabase } from '@dslog/service/db'
import type { Bench } from './harness.ts'
import { REPOSITORY } from './repository.ts'

const DSLOG = join(REPOSITORY, 'packages/cli/bin/dslog.js')
/** The operator's token of a log. */
export const TOKEN = 'benchmark'
/** Longest wait for a server, ms. */
const START_MS = 30_000

/** A log service on a database of its own; its URL. */
export async function startLog(
  bench: Bench,
  server: string,
  settings: Readonly<Record<string, string>> = {},
): Promise<string> {
  const database = `bench_${process.pid}_${Date.now()}`
  const admin = await openDatabase({ url: server, folder: bench.folder() })
  await sql`create database ${sql.id(database)}`.execute(admin.kysely)
  await admin.close()
  const port = await freePort()
  const environment = {
    ...process.env,
    DATABASE_URL: server.replace(/\/[^/]*$/, `/${database}`),
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

/** A process that only reads what a log writes; its URL. */
export async function startReader(bench: Bench, log: string): Promise<string> {
  const port = await freePort()
  const environment = { ...environments.get(log), DSLOG_LOG_PORT: String(port) }
  return start(bench, [DSLOG, 'log', '--read-only'], port, environment)
}

/** Starts a program of Node that serves `/checkpoint` when it is ready; its URL. */
export async function start(
  bench: Bench,
  args: readonly string[],
  port: number,
  env: NodeJS.ProcessEnv,
): Promise<string> {
  const child = spawn(process.execPath, args, { env, stdio: ['ignore', 'ignore', 'inherit'] })
  bench.after(() => stop(child))
  const url = `http://127.0.0.1:${port}`
  for (const end = Date.now() + START_MS; Date.now() < end;) {
    const answer = await fetch(`${url}/checkpoint`).catch(() => undefined)
    await answer?.arrayBuffer()
    if (answer?.ok === true) return url
    if (child.exitCode !== null) break
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new Error(`${args.join(' ')} does not answer`)
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.kill('SIGTERM')
  await exited
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
