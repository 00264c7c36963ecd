/**
 * The main job without a database: ten real root zones in, the known history out, and an auditor who has
 * nothing but the anchors. The test is skipped where the data is missing.
 */
import { createReadStream, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { ROOT_ANCHORS } from '@dslog/dnssec/anchors'
import { nodeBackend } from '@dslog/dnssec/backend/node'
import { nameToText, ROOT } from '@dslog/dnssec/name'
import { type SignedZone, verifyZone } from '@dslog/dnssec/zone'
import { readZoneFile } from '@dslog/dnssec/zonefile'
import { isParentLink } from '@dslog/schema/entry'
import { SHARED, sharedPath } from '@dslog/testbed/shareddata'
import type { StateCandidate } from '@dslog/verify/candidate'
import { diffZone, keyRecords } from '@dslog/verify/zonediff'
import { mapOver } from './mapmodel.ts'
import { audit, past, statuses, TestLog } from './testlog.ts'

const isThere = sharedPath('data/root') !== undefined
const data = join(SHARED, 'data/root')

interface Snapshot {
  readonly serial: string
  readonly file: string
  readonly ds_rrsets: number
}

/** A line of changes.jsonl, as far as it is about DS. */
interface Change {
  readonly from_serial: string
  readonly to_serial: string
  readonly zone: string
  readonly change: string
  readonly old: readonly string[]
  readonly new: readonly string[]
}

function lines(text: string): string[] {
  return text.split('\n').filter((line) => line !== '')
}

function spell({ change, from_serial, new: now, old, to_serial, zone }: Change): string {
  return [from_serial, to_serial, zone, change, old.join(','), now.join(',')].join(' | ')
}

describe.skipIf(!isThere)('ten root zones', () => {
  const backend = nodeBackend()
  const verifier = { anchors: ROOT_ANCHORS, backend }
  const zones: SignedZone[] = []
  const known = new Map<string, readonly string[]>()
  const found: Change[] = []
  let snapshots: readonly Snapshot[] = []
  let log: TestLog

  beforeAll(async () => {
    snapshots = JSON.parse(readFileSync(join(data, 'index.json'), 'utf8')) as Snapshot[]
    log = await TestLog.create({ ...verifier, depth: 6, time: Date.UTC(2026, 0, 1) })
    for (const [i, { file, serial }] of snapshots.entries()) {
      const records = readZoneFile(createReadStream(join(data, file)))
      const zone = await verifyZone({ records, trust: { anchors: ROOT_ANCHORS }, backend })
      zones.push(zone)
      const changes = diffZone(zone, known)
      const moment = past(zone.at)
      const observer = log.observer(moment)
      await log.admit(await observer.zoneKeys(ROOT, keyRecords(zone)), moment)
      for (const { change, name, new: now, old, records: proof } of changes) {
        const candidates = await observer.delegation(name, proof)
        const said = statuses(await log.admit(candidates, moment)).at(-1)
        if (said !== (change === 'removed' ? 'no-ds' : 'ds')) {
          throw new Error(`${serial}: ${nameToText(name)} is ${said}`)
        }
        known.set(nameToText(name), now)
        const from = snapshots[i - 1]?.serial
        if (from === undefined) continue
        const head = { from_serial: from, to_serial: serial, zone: nameToText(name) }
        found.push({ ...head, change, old, new: now })
      }
      await log.mapHead(Date.UTC(2026, 0, 2 + i))
    }
  }, 120_000)

  test('change as is known of them: 3,378 lines', () => {
    const text = readFileSync(join(data, 'changes.jsonl'), 'utf8')
    const expected = lines(text).map((line) => spell(JSON.parse(line) as Change))
    expect(expected).toHaveLength(3378)
    expect(found.map(spell).toSorted()).toEqual(expected.toSorted())
  })

  test('leave the DS sets of the last one, and of each one name by name', () => {
    for (const [i, zone] of zones.entries()) {
      expect(zone.delegations).toHaveLength(snapshots[i]!.ds_rrsets)
    }
    const signed = [...known].filter(([, ds]) => ds.length > 0)
    expect(signed).toHaveLength(snapshots.at(-1)!.ds_rrsets)
  })

  test('hang from the anchors of their times', () => {
    const links = log.decoded.flatMap((entry) => {
      if (entry.type !== 'zone-keys' || isParentLink(entry.link)) return []
      return [`${new Date(entry.time).toISOString().slice(0, 10)} ${entry.link.tag}`]
    })
    expect(links).toEqual([
      '2014-06-25 19036',
      '2017-07-30 19036',
      '2019-02-21 20326',
      '2023-11-20 20326',
      '2024-07-09 20326',
      '2024-07-19 20326',
      // On the 26th the keys of the 19th are good for six days more.
      '2024-07-31 20326',
      '2025-01-13 20326',
      '2025-04-14 20326',
    ])
  })

  test('are accepted whole by an auditor who has the anchors and nothing else', async () => {
    const { fold, seen, violation } = await audit(log.entries, verifier, { depth: 6 })
    expect(violation).toBeUndefined()
    expect(seen).toHaveLength(log.entries.length)
    const { keyCount, root } = mapOver(log.entries)
    expect(fold.head.keyCount).toBe(keyCount)
    expect(fold.upper.root()).toEqual(root)
  })

  test('are not accepted without 19036, nor with it a day too short', async () => {
    const [, ...without] = ROOT_ANCHORS
    expect((await audit(log.entries, { anchors: without, backend })).violation).toMatchObject({
      index: 1,
      kind: 'bad-evidence',
    })
    const [first, ...rest] = ROOT_ANCHORS
    const short = [{ ...first!, until: zones[1]!.at }, ...rest]
    const { violation } = await audit(log.entries, { anchors: short, backend })
    const index = log.decoded.findIndex(
      (entry) => entry.type === 'zone-keys' && entry.time === zones[1]!.at,
    )
    expect(violation).toMatchObject({ index, kind: 'bad-evidence' })
  })

  test('add nothing when they are imported again', async () => {
    const before = log.entries.length
    let offered = 0
    for (const zone of zones) {
      const moment = past(zone.at)
      const observer = log.observer(moment)
      const keys = statuses(
        await log.admit(await observer.zoneKeys(ROOT, keyRecords(zone)), moment),
      )
      expect(keys).toEqual(['known'])
      for (const { name, records } of diffZone(zone, known)) {
        const candidates = await observer.delegation(name, records)
        const said = statuses(await log.admit([candidates.at(-1) as StateCandidate], moment))
        expect(['known', 'stale']).toContain(said[0])
        offered++
      }
    }
    expect(offered).toBeGreaterThan(3000)
    expect(log.entries).toHaveLength(before)
  })
})
