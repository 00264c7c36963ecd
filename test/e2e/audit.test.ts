/**
 * `dslog audit` as another machine runs it, against logs that lie: exit code 1, and the evidence is kept.
 * Which lies there are, one by one: packages/cli/test/audit.test.ts.
 */
import { cp, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { utf8 } from '@dslog/tlog/bytes'
import { sha256 } from '@dslog/tlog/hash'
import { formatAnchors } from '@dslog/dnssec/anchors'
import { nameFromText } from '@dslog/dnssec/name'
import { decodeEntry, encodeEntry } from '@dslog/schema/entry'
import { DAY } from '@dslog/schema/time'
import { decodeFinding, verifyFinding } from '@dslog/monitor/evidence'
import { installNodeCrypto } from '@dslog/service/crypto'
import { Internet } from '@dslog/testbed/internet'
import { LyingLog, Scribe, type ServedLog } from '@dslog/testbed/lyinglog'
import { ownerDs } from '@dslog/testbed/stories'
import { dslog, Folders } from './dslog.ts'

installNodeCrypto()

const folders = new Folders()
const serving: ServedLog[] = []
afterAll(async () => {
  await Promise.all(serving.map((served) => served.close()))
  folders.remove()
})

/** Names in the first tree: more than a tile holds. */
const NAMES = 300
/** What the first audit has seen, and what comes then. */
let first: number
let scribe: Scribe
let anchors: string
/** State folder after an audit of the first tree. */
let state: string

beforeAll(async () => {
  const net = new Internet()
  const fi = net.addZone('fi.')
  anchors = folders.file('anchors')
  await writeFile(anchors, formatAnchors(net.anchors))
  scribe = new Scribe({ anchors: net.anchors, now: net.clock.now })
  const names = Array.from({ length: NAMES }, (_, i) => nameFromText(`name-${i}.fi.`))
  await scribe.mapHead()
  const delegate = async (generation: number) => {
    for (const name of names) fi.delegate(name, [ownerDs(name, generation)])
    for (const name of names) await scribe.observe(name, net.evidence(name))
    net.clock.advance(DAY)
    await scribe.mapHead()
  }
  await delegate(1)
  first = scribe.size
  await delegate(2)

  state = folders.make()
  const audited = await audit(honest(first), '--state', state)
  if (audited.code !== 0) throw new Error(audited.stderr)
})

function honest(size: number = scribe.size): LyingLog {
  return signed(scribe.entries.slice(0, size))
}

function signed(entries: readonly Uint8Array[]): LyingLog {
  const log = new LyingLog().append(...entries)
  log.sign()
  return log
}

/** Audits a log with nothing but its URL, a policy and trust anchors. */
async function audit(log: LyingLog, ...args: string[]) {
  const served = await log.serve()
  serving.push(served)
  const policy = folders.file('policy')
  await writeFile(policy, log.policy)
  const trust = ['--policy', policy, '--anchors', anchors, '--data', folders.make()]
  return dslog(['audit', '--json', '--log', served.url, ...trust, ...args])
}

it('finds nothing wrong with an honest log, at once or in two goes', async () => {
  const { size } = scribe
  const whole = await audit(honest())
  expect(whole).toMatchObject({ code: 0, stderr: '' })
  expect(whole.events).toMatchObject([{ event: 'summary', from: 0, size, names: NAMES + 2 }])

  const folder = folders.make()
  await cp(state, folder, { recursive: true })
  const rest = await audit(honest(), '--state', folder)
  expect(rest).toMatchObject({ code: 0, stderr: '' })
  expect(rest.events).toMatchObject([{ from: first, size, entries: size - first }])
  const nothing = await audit(honest(), '--state', folder)
  expect(nothing.events).toMatchObject([{ from: size, size, entries: 0 }])
})

const LIES: readonly (readonly [string, string, () => LyingLog])[] = [
  [
    'a flipped byte in an entry',
    'bad-entry',
    () => {
      const log = honest()
      log.flip('tile/entries/001', 400)
      return log
    },
  ],
  [
    'a flipped byte in a tile',
    'bad-tile',
    () => {
      const log = honest()
      log.flip('tile/0/001', 400)
      return log
    },
  ],
  [
    'two entries swapped',
    'bad-map',
    () => {
      const entries = scribe.entries.slice()
      ;[entries[first], entries[first + 1]] = [entries[first + 1]!, entries[first]!]
      return signed(entries)
    },
  ],
  ['a rolled-back tree', 'rollback', () => honest(1)],
  [
    'a forked tree, signed with the log’s own key',
    'fork',
    () => signed([...scribe.entries.slice(0, 9), ...scribe.entries.slice(10)]),
  ],
  [
    'a MAP_HEAD with a wrong root',
    'bad-map',
    () => {
      const entries = scribe.entries.slice()
      const head = decodeEntry(entries.at(-1)!)
      if (head.type !== 'map-head') throw new Error('not a MAP_HEAD')
      entries[entries.length - 1] = encodeEntry({ ...head, mapRoot: sha256(utf8('no map')) })
      return signed(entries)
    },
  ],
]

describe('it finds, and keeps the evidence of,', () => {
  it.each(LIES)('%s', async (_, kind, lie) => {
    const folder = folders.make()
    await cp(state, folder, { recursive: true })
    const log = lie()
    const called = await audit(log, '--state', folder)
    expect(called.stderr).toMatch(
      new RegExp(`^dslog: ${log.origin} was caught: ${kind}: [^\n]+\n$`),
    )
    expect(called.code).toBe(1)
    const file = join(folder, `evidence-1-${kind}.json`)
    expect(called.events).toMatchObject([{ event: 'misbehaviour', kind, file }])
    expect((await readdir(folder)).filter((name) => name.startsWith('evidence'))).toHaveLength(1)
    // Anyone with the log's key can check it, without the log.
    const kept = JSON.parse(await readFile(file, 'utf8')) as { kind: string; evidence: unknown }
    expect(kept.kind).toBe(kind)
    verifyFinding(decodeFinding(kind, JSON.stringify(kept.evidence)), [log.key])
  })

  it('an entry that the map leaves out; without a folder it is printed', async () => {
    const net = new Internet()
    const fi = net.addZone('fi.')
    const omitting = new Scribe({ anchors: net.anchors, now: net.clock.now })
    const honest = new Scribe({ anchors: net.anchors, now: net.clock.now })
    const [a, b] = [nameFromText('a.fi.'), nameFromText('b.fi.')]
    for (const name of [a, b]) fi.delegate(name, [ownerDs(name)])
    for (const one of [omitting, honest]) {
      await one.mapHead()
      await one.observe(a, net.evidence(a))
    }
    await honest.observe(b, net.evidence(b))
    omitting.slip(honest.entries.at(-1)!)
    await omitting.mapHead()
    const log = signed(omitting.entries)
    const called = await audit(log)
    expect(called.code).toBe(1)
    expect(called.events).toMatchObject([{ event: 'misbehaviour', kind: 'bad-map' }])
    const { evidence, kind } = called.events[0]!
    const finding = decodeFinding(String(kind), JSON.stringify(evidence))
    verifyFinding(finding, [log.key])
    // What the rules demand in its place is in the evidence.
    await honest.mapHead()
    expect(finding.evidence).toMatchObject({ expected: honest.entries.at(-1) })
  })
})
