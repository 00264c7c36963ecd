/** kill -9 at every step from alert to outbox to sending: nothing is lost, and nothing is out of order. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { startPostgres } from '@dslog/testbed/postgres'
import { WebhookSink } from '@dslog/testbed/webhooksink'
import { FROM_SOURCE } from '../repository.ts'
import type { AlerterTask } from './alerter.ts'

const PROGRAM = fileURLToPath(new URL('alerter.ts', import.meta.url))

/** Points between two effects, in their order, and which pass of each is the last of a life. */
const DEATHS = [
  'alert.raised:2',
  'alert.enqueued:3',
  'outbox.next:1',
  'outbox.sent:2',
  'outbox.sent:1',
  'outbox.noted:2',
  'alert.enqueued:1',
]

/** Entries: more than are delivered before the last death. */
const ENTRIES = 12

test('an alert arrives at least once, in order, and again under the same id', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'dslog-alerts-'))
  const postgres = await startPostgres()
  const sink = await WebhookSink.start()
  try {
    const task: AlerterTask = {
      folder,
      webhook: sink.url,
      entries: ENTRIES,
      ...(postgres !== undefined && { url: postgres.url }),
    }
    for (const death of DEATHS) expect(await live(task, death), death).toBe('SIGKILL')
    expect(await live(task)).toBe(0)

    const arrived = sink.messages.map(({ data, id }) => ({ id, index: Number(data['index']) }))
    // Each at least once, the first time in order; what came again did so before the next.
    const first = new Map(arrived.map(({ id, index }) => [index, id]))
    expect([...first.keys()]).toEqual(Array.from({ length: ENTRIES }, (_, i) => i))
    expect(arrived.map(({ index }) => index)).toEqual(
      arrived.map(({ index }) => index).toSorted((a, b) => a - b),
    )
    for (const { id, index } of arrived) expect(id).toBe(first.get(index))
    expect(new Set(first.values()).size).toBe(ENTRIES)
    // Dying between sending and noting it is what makes a duplicate: twice here.
    expect(arrived.length).toBe(
      ENTRIES + DEATHS.filter((death) => death.startsWith('outbox.sent')).length,
    )
  } finally {
    await sink.close()
    await postgres?.stop()
    await rm(folder, { recursive: true, force: true })
  }
})

/** One life of the process. @returns the signal or exit code that it ended with */
async function live(task: AlerterTask, death?: string): Promise<NodeJS.Signals | number | null> {
  const env: NodeJS.ProcessEnv = { ...process.env }
  delete env['DSLOG_TEST_CRASH']
  if (death !== undefined) env['DSLOG_TEST_CRASH'] = death
  const child = spawn(process.execPath, [...FROM_SOURCE, PROGRAM, JSON.stringify(task)], {
    env,
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null]
  return signal ?? code
}
