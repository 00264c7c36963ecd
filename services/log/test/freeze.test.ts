/** The end of a log: a last tree, recorded where a restore of the database does not reach it. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { nameFromText } from '@dslog/dnssec/name'
import { Internet } from '@dslog/testbed/internet'
import { ownerDs } from '@dslog/testbed/stories'
import { Places } from '../../../test/place.ts'
import { observe, openPlace, TestLog } from '../../../test/testlog.ts'
import type { LogOptions } from '../src/log.ts'
import { Sequencer } from '../src/sequencer.ts'
import { SignerFile } from '../src/signer.ts'
import { emptied } from './emptied.ts'

const places = await Places.open(['embedded'])
const net = new Internet()
const fi = net.addZone('fi.')
const { now } = net.clock
let base: LogOptions
let options: LogOptions
let folder: string
let open: TestLog | undefined

beforeAll(async () => {
  base = await openPlace(await places.make('embedded', net.anchors), now)
})
afterAll(async () => {
  await base.db.close()
  await places.close()
})
beforeEach(async () => {
  options = await emptied(base)
  folder = await mkdtemp(join(tmpdir(), 'dslog-freeze-'))
})
afterEach(async () => {
  await open?.log.close()
  open = undefined
  await rm(folder, { recursive: true, force: true })
})

async function start(more: Partial<LogOptions> = {}): Promise<TestLog> {
  await open?.log.close()
  open = await TestLog.over({ ...options, ...more }, { clock: now })
  return open
}

let made = 0
async function submit(log: TestLog): Promise<string | undefined> {
  const owner = nameFromText(`frozen${++made}.fi.`)
  fi.delegate(owner, [ownerDs(owner)])
  return (await log.submit(observe(net, owner)))[0]?.status
}

test.each(['a table', 'a file'])(
  'nothing is added any more, also after a restart: %s',
  async (kind) => {
    const signerRow = kind === 'a file' ? new SignerFile(join(folder, 'row')) : options.signerRow
    const log = await start({ signerRow })
    expect(await submit(log)).toBe('logged')
    expect(log.log.isFrozen).toBe(false)
    await log.log.freeze()
    const { note, size } = log.log.published
    expect(log.log.isFrozen).toBe(true)
    await expect(submit(log)).rejects.toMatchObject({ code: 'frozen' })
    expect(log.log.size).toBe(size)

    const again = await start({ signerRow })
    expect(again.log.isFrozen).toBe(true)
    await expect(submit(again)).rejects.toMatchObject({ code: 'frozen' })
    // The same tree may be signed again, and frozen again; what is there is served as before.
    await again.log.refresh()
    await again.log.freeze()
    expect(again.log.published).toMatchObject({ note, size })
    expect((await again.reader.entries(0, 10)).length).toBe(size)
  },
)

test('whoever submits is told that it is for good', async () => {
  const log = await start()
  const sequencer = new Sequencer(log.log, { interval: 5, clock: now })
  sequencer.start(() => {})
  try {
    expect(sequencer.isFrozen).toBe(false)
    await log.log.freeze()
    expect(sequencer.isFrozen).toBe(true)
    expect(() => sequencer.submit([])).toThrow(
      expect.objectContaining({ problem: 'log-frozen', status: 410 }),
    )
  } finally {
    await sequencer.stop()
  }
})

test('a database that does not know of it does not undo it', async () => {
  const signerRow = new SignerFile(join(folder, 'row'))
  const log = await start({ signerRow })
  await log.log.freeze()
  const frozen = (await signerRow.read())!
  await expect(
    signerRow.advance(frozen, { ...frozen, size: frozen.size + 1 }),
  ).rejects.toMatchObject({ code: 'frozen' })
  // As a process that has not been told would: its tree is larger, its signer row is this one.
  const { origin, root, size } = frozen
  expect(await signerRow.read()).toEqual({ origin, root, size, frozen: true })
})
