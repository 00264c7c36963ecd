/**
 * Ten root zones of eleven years, served by NSD one after the other at the time of each, transferred and
 * asked by a crawler: the log gets exactly the changes that an import of the files gives.
 */
import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { afterEach, expect, test } from 'vitest'
import { ROOT_ANCHORS } from '@dslog/dnssec/anchors'
import { nameToText, ROOT } from '@dslog/dnssec/name'
import { dsToText } from '@dslog/dnssec/records'
import { decodeEntry, type DelegationEntry } from '@dslog/schema/entry'
import { TestClock } from '@dslog/testbed/clock'
import { Internet } from '@dslog/testbed/internet'
import { type RealServer, startNsd, type ZoneFile } from '@dslog/testbed/realserver'
import type { CrawlWorld } from '../crawl.ts'
import { crawls } from './crawled.ts'
import { type Event, HAS_DATA } from './dslog.ts'
import { expectChanges, ROOT_ZONES, SNAPSHOTS } from './root-zones.ts'

let nsd: RealServer | undefined
afterEach(() => nsd?.stop())
const open = crawls()

const checkedAt = (i: number): number => SNAPSHOTS[i]!.check_time_unix * 1000

/** As it was, but for the addresses of the servers of the root, which nobody signs: that is NSD here. */
function zoneOf(i: number): ZoneFile {
  const text = gunzipSync(readFileSync(ROOT_ZONES[i]!)).toString('latin1')
  const here = text
    .replaceAll(/^([a-m]\.root-servers\.net\.\s.*\sA\s).*$/gim, '$1127.0.0.1')
    .replaceAll(/^[a-m]\.root-servers\.net\.\s.*\sAAAA\s.*\n/gim, '')
  return { name: ROOT, text: here, serial: Number(SNAPSHOTS[i]!.serial) }
}

/** Every change of a delegation in the log, in its order. */
async function delegations({ log }: CrawlWorld): Promise<(DelegationEntry & { index: number })[]> {
  const found: (DelegationEntry & { index: number })[] = []
  for (let at = 0; at < log.reader.tree.size;) {
    const { leaves, next } = await log.reader.changes(at, 256, undefined)
    for (const { bytes, index } of leaves) {
      found.push({ ...(decodeEntry(bytes) as DelegationEntry), index })
    }
    at = next
  }
  return found
}

/** The same as an import tells of them: what it was before, what it is then, and in which zone file. */
function changesOf(entries: readonly (DelegationEntry & { index: number })[]): Event[] {
  const inForce = new Map<string, readonly string[]>()
  return entries.map((entry) => {
    const name = nameToText(entry.owner)
    const old = inForce.get(name) ?? []
    const now = entry.type === 'ds' ? entry.ds.map(dsToText).sort() : []
    inForce.set(name, now)
    const change = old.length === 0 ? 'added' : now.length === 0 ? 'removed' : 'replaced'
    const file = ROOT_ZONES[SNAPSHOTS.findLastIndex((_, i) => checkedAt(i) <= entry.time)]
    return { event: 'change', file, name, change, old, new: now, index: entry.index }
  })
}

test.skipIf(!HAS_DATA)(
  'each change is one entry, of its time',
  async () => {
    nsd = await startNsd([zoneOf(0)])
    if (nsd === undefined) return
    const clock = new TestClock(checkedAt(0))
    const env = {
      DSLOG_CRAWLER_ROOT_SERVERS: '127.0.0.1',
      DSLOG_CRAWLER_TRANSFERS: `.@127.0.0.1:${nsd.port}`,
      DSLOG_CRAWLER_TRANSFER_INTERVAL: '1s',
    }
    const own = await open({ net: new Internet({ clock }), dns: nsd, env }, ROOT_ANCHORS)
    /** Of the zone that was taken last. It is looked for every second, by this clock. */
    const serial = async (): Promise<unknown> => {
      clock.advance(1_000)
      const answer = await fetch(`${own.crawlerUrl}/v1/zones/@`)
      return answer.ok ? ((await answer.json()) as { serial: unknown }).serial : undefined
    }
    for (const i of SNAPSHOTS.keys()) {
      // Old signatures are expired by then, so nothing of the last zone is taken for the present.
      clock.set(checkedAt(i))
      await nsd.reload([zoneOf(i)])
      clock.advance(1_000)
      await expect.poll(serial, { interval: 500 }).toBe(Number(SNAPSHOTS[i]!.serial))
      await own.settle()
    }
    const entries = await delegations(own)
    expect(entries.filter(({ outOfOrder }) => outOfOrder)).toEqual([])
    expectChanges(changesOf(entries))
  },
  600_000,
)
