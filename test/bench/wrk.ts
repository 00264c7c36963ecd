/** wrk, which asks a server as often as it can: one path again and again, or many at random. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { missingOf } from '@dslog/testbed/program'
import type { Bench } from './harness.ts'

/** Connections of a run. */
const CONNECTIONS = 32

export function hasWrk(): boolean {
  return missingOf('wrk').length === 0
}

/** Requests a second; the server may be this process. */
export async function wrk(url: string, seconds: number, script?: string): Promise<number> {
  const more = script === undefined ? [] : ['-s', script]
  const words = ['-t1', `-c${CONNECTIONS}`, `-d${seconds}s`, ...more, url]
  const child = spawn('wrk', words, { stdio: ['ignore', 'pipe', 'inherit'] })
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
  await once(child, 'close')
  const rate = /Requests\/sec:\s+([\d.]+)/.exec(output)?.[1]
  if (rate === undefined || output.includes('Non-2xx')) throw new Error(output)
  return Number(rate)
}

/** A script of wrk that asks for these paths at random, with these lines before each request. */
export function anyOf(bench: Bench, paths: readonly string[], header = ''): string {
  const file = join(bench.folder(), 'paths.lua')
  const list = paths.map((path) => JSON.stringify(path)).join(',\n')
  writeFileSync(
    file,
    `${header}\nlocal paths = {\n${list}\n}\nfunction request() return wrk.format("GET", paths[math.random(#paths)]) end\n`,
  )
  return file
}
