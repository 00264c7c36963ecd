/**
 * Each target for a moment, with the same inputs each time; `npm run fuzz` goes on for as long as one
 * likes, and `DSLOG_TEST_NIGHTLY` for longer than here. In a process of its own: coverage is counted
 * from its start.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { dirname } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { HOUR } from '@dslog/schema/time'
import { nightly } from '../nightly.ts'
import { FROM_SOURCE } from '../repository.ts'
import { targets } from './targets.ts'

const INPUTS = nightly ? 200_000 : 500
const RUN = fileURLToPath(new URL('run.ts', import.meta.url))

async function fuzz(...args: readonly string[]): Promise<{ code: number; said: string }> {
  const node = [...FROM_SOURCE, RUN, '--seed', '1', ...args]
  const child = spawn(process.execPath, node, { stdio: ['ignore', 'pipe', 'inherit'] })
  const [said, [code]] = await Promise.all([text(child.stdout), once(child, 'close')])
  return { code: Number(code), said }
}

test('input of strangers is read or refused', { timeout: HOUR }, async () => {
  const { code, said } = await fuzz('--inputs', String(INPUTS))
  expect(code, said).toBe(0)
  for await (const { name, seeds } of targets()) {
    const line = said.split('\n').find((one) => one.startsWith(name.padEnd(15)))
    const [, inputs, kept] = /(\d+) inputs, \d+ accepted, (\d+) kept/.exec(line ?? '') ?? []
    expect(Number(inputs), name).toBeGreaterThanOrEqual(INPUTS)
    // It came further than where it began.
    expect(Number(kept), name).toBeGreaterThan(seeds.length)
  }
})

test('the fuzzer finds what only one byte after the other leads to', async () => {
  const { code, said } = await fuzz('--only', 'planted', '--inputs', '400000')
  for (const [, file] of said.matchAll(/(\/\S+\/input):/g)) {
    rmSync(dirname(file!), { recursive: true })
  }
  expect(code).toBe(1)
  expect(said).toContain('RangeError: planted')
})
