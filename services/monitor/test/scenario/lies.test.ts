/**
 * When it is the log that lies, or somebody who speaks for the owner: what is kept of it verifies with the
 * keys of the log and the anchors of the root alone. Every other way to lie is in tamper.test.ts, what the
 * log withholds in probe.test.ts.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { decodeEntry, encodeEntry } from '@dslog/schema/entry'
import { DAY, HOUR } from '@dslog/schema/time'
import { ed25519Signer } from '@dslog/service/crypto'
import { encodePins, type PinStatement, verifyPins } from '@dslog/verify/pins'
import { atTestPoint } from '../../../../test/testpoint.ts'
import { decodeFinding, verifyFinding } from '../../src/evidence.ts'
import { place, type Place } from '../world.ts'
import { rogueKey, Stage } from './stage.ts'

let home: Place
let stage: Stage
beforeAll(async () => {
  home = await place()
})
afterEach(() => stage.close())
afterAll(() => home.close())

/** Kinds of what is kept; each piece verifies. */
async function kept(): Promise<string[]> {
  const rows = await home.db.kysely.selectFrom('misbehaviour').selectAll().execute()
  return rows.map(({ evidence, kind }) => {
    verifyFinding(decodeFinding(kind, evidence), [stage.log.key])
    return kind
  })
}

describe('the log', () => {
  test('forks: it shows this monitor another history than it has signed', async () => {
    stage = await Stage.set(home)
    const fork = stage.log.fork(stage.log.size)
    stage.delegate(stage.ds(rogueKey()))
    await stage.seen()
    const before = stage.follower.status.size
    // In the place of what was signed, entries of a version that nobody knows.
    while (fork.size <= stage.log.size) fork.append(Uint8Array.of(9, 9))
    fork.sign()
    for (const [path, file] of fork.files) stage.log.files.set(path, file)
    await stage.look()
    expect(stage.follower.status).toMatchObject({ state: 'misbehaving', size: before })
    expect(await kept()).toEqual(['fork'])
  })

  test.each([
    ['cannot be read', 'bad-encoding', (entry: Uint8Array) => Uint8Array.of(...entry, 0)],
    [
      'is not what its rules allow',
      'bad-evidence',
      (entry: Uint8Array) => entry.with(-1, entry.at(-1)! ^ 1),
    ],
  ] as const)(
    'has an entry about the name that %s: the owner hears, once, of %s',
    async (said, kind, spoil) => {
      stage = await Stage.set(home)
      stage.delegate(stage.ds(rogueKey()))
      const { log, scribe } = stage
      const { size } = scribe
      await scribe.observe(stage.name, stage.net.evidence(stage.name))
      await scribe.mapHead()
      const [entry, ...rest] = scribe.entries.slice(size)
      log.append(spoil(entry!), ...rest)
      log.sign()
      await stage.look()
      await stage.wait(HOUR)
      expect(await kept()).toEqual([kind])
      expect(await stage.alerts()).toEqual(['unreadable HIGH raised'])
      const [alert] = await home.db.kysely.selectFrom('alert').select(['why', 'idx']).execute()
      expect(alert).toMatchObject({ idx: size, why: expect.stringContaining(said) })
      expect(alert!.why).toContain('example.fi.')
    },
  )

  test('lies about the map: the name would be proven to have another history', async () => {
    stage = await Stage.set(home)
    const head = decodeEntry(await stage.scribe.mapHead())
    if (head.type !== 'map-head') throw new Error('a MAP_HEAD is one')
    const mapRoot = head.mapRoot.slice() as typeof head.mapRoot
    mapRoot[0]! ^= 1
    stage.log.append(encodeEntry({ ...head, mapRoot }))
    stage.log.sign()
    await stage.look()
    expect(stage.follower.status.state).toBe('misbehaving')
    expect(await kept()).toEqual(['bad-map'])
  })
})

test('whoever forges pins needs the owner key: not the name, not an old statement', async () => {
  stage = await Stage.set(home)
  const owner = ed25519Signer(new Uint8Array(32).fill(1))
  const mallory = ed25519Signer(new Uint8Array(32).fill(2))
  const statement: PinStatement = {
    origin: 'monitor.example',
    name: stage.name,
    seq: 2,
    notAfter: stage.net.clock.now() + DAY,
    pins: [{ kind: 'ds', rdata: stage.ds(rogueKey()) }],
  }
  const forged = mallory.sign(encodePins(statement))
  expect(() => verifyPins(statement, owner.publicKey, forged)).toThrow(
    'not signed by the owner key',
  )
  const old = owner.sign(encodePins({ ...statement, seq: 1 }))
  expect(() => verifyPins(statement, owner.publicKey, old)).toThrow('not signed by the owner key')
})

test.each(['judge.opened', 'judge.settled', 'alert.raised', 'alert.enqueued'])(
  'a monitor that dies at %s loses nothing, and tells nothing twice',
  async (point) => {
    stage = await Stage.set(home)
    stage.delegate(stage.ds(rogueKey()))
    let deaths = 0
    const off = atTestPoint((name) => {
      if (name !== point || deaths > 0) return
      deaths++
      throw new Error('killed')
    })
    const dying = async (act: () => Promise<void>): Promise<void> => {
      try {
        await act()
      } catch (error) {
        if (!(error instanceof Error) || error.message !== 'killed') throw error
        await stage.look()
      }
    }
    await dying(() => stage.seen())
    await dying(() => stage.wait(HOUR))
    off()
    expect(deaths).toBe(1)
    await stage.wait(DAY)
    expect(await stage.alerts()).toEqual(['R7 HIGH raised'])
  },
)
