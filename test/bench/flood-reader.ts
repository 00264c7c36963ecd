/**
 * A reader of logs in a process of its own: whoever makes the flood is busy, and would take his own work for waiting.
 *
 *   node --import tsx flood-reader.ts SECONDS URL…      prints, for each, how long each answer took, ms
 */
import { setTimeout as sleep } from 'node:timers/promises'

/** A reader comes so often, ms. */
const READ_MS = 10
const PATHS = { checkpoint: 'checkpoint', tile: 'tile/0/000.p/1' } as const

/** Times that a reader waited, ms. */
export type Waits = Record<keyof typeof PATHS, number[]>

async function readFor(log: string, seconds: number): Promise<Waits> {
  const waits: Waits = { checkpoint: [], tile: [] }
  for (const end = performance.now() + seconds * 1_000; performance.now() < end;) {
    for (const what of ['checkpoint', 'tile'] as const) {
      const from = performance.now()
      await (await fetch(`${log}/${PATHS[what]}`)).arrayBuffer()
      waits[what].push(performance.now() - from)
    }
    await sleep(READ_MS)
  }
  return waits
}

const [seconds, ...logs] = process.argv.slice(2)
console.log(JSON.stringify(await Promise.all(logs.map((log) => readFor(log, Number(seconds))))))
