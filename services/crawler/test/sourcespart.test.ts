/** When sources are read: zones, once it is known what the log holds, by whichever process. */
import { expect, test } from 'vitest'
import { DAY } from '@dslog/schema/time'
import { silent } from '../../../test/silent.ts'
import { SourcesPart } from '../src/sources.ts'

test('zones are read as soon as the log is known, and not before', async () => {
  let isCaughtUp = false
  let follows = 0
  const read: string[] = []
  const zone = (id: string) => ({
    id,
    async read() {
      read.push(id)
      return true
    },
  })
  const sources = new SourcesPart({
    logged: { follow: async () => void follows++, isCaughtUp: async () => isCaughtUp },
    names: { read: async () => read.push('names') },
    zones: [zone('axfr:.'), zone('file:/zones/fi')],
    duties: { has: async () => true, giveUp: async () => {} },
    table: { failed: async () => {} },
    counters: { read: () => {} },
    // An hour in a second.
    clock: () => Date.now() * 3_600,
    logger: silent,
    interval: DAY,
    onSource: () => {},
    tidy: async () => {},
  })
  const failures: unknown[] = []
  sources.start((error) => failures.push(error))
  try {
    await expect.poll(() => follows).toBeGreaterThan(2)
    expect(read).toContain('names')
    expect(read.filter((id) => id !== 'names')).toEqual([])
    isCaughtUp = true
    await expect
      .poll(() => read.filter((id) => id !== 'names').sort())
      .toEqual(['axfr:.', 'file:/zones/fi'])
  } finally {
    await sources.stop()
  }
  expect(failures).toEqual([])
})
