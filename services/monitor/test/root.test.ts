/** A log of the real root zone, from one snapshot to the next; read in place, skipped where it is missing. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { ROOT_ANCHORS } from '@dslog/dnssec/anchors'
import { nodeBackend } from '@dslog/dnssec/backend/node'
import { nameToText } from '@dslog/dnssec/name'
import { dsToText } from '@dslog/dnssec/records'
import { verifyZone } from '@dslog/dnssec/zone'
import { parseZoneFile } from '@dslog/dnssec/zonefile'
import { decodeDsSet } from '@dslog/service/dsset'
import { LyingLog, Scribe } from '@dslog/testbed/lyinglog'
import { sharedPath } from '@dslog/testbed/shareddata'
import { diffZone, keyRecords } from '@dslog/verify/zonediff'
import { Changes } from '../src/changes.ts'
import { follower, quickPlace, RUNNING } from './world.ts'

const data = sharedPath('data/root')

const SNAPSHOTS = ['2024070900', '2025011301'] as const

test.skipIf(data === undefined)(
  'every DS of the root zone, from one year to the next',
  async () => {
    const now = Date.UTC(2025, 5, 1)
    const backend = nodeBackend()
    const scribe = new Scribe({ anchors: ROOT_ANCHORS, now: () => now })
    await scribe.mapHead()
    const states = new Map<string, readonly string[]>()
    let changes = 0
    for (const serial of SNAPSHOTS) {
      const records = parseZoneFile(gunzipSync(readFileSync(join(data!, `root-${serial}.zone.gz`))))
      const zone = await verifyZone({ records, trust: { anchors: ROOT_ANCHORS }, backend })
      await scribe.observeKeys(zone.zone, keyRecords(zone), zone.at)
      for (const change of diffZone(zone, states)) {
        const bag = [...change.records, ...keyRecords(zone)]
        const admissions = await scribe.observe(change.name, bag, zone.at)
        expect(admissions.at(-1)!.status).toBe('logged')
        states.set(nameToText(change.name), change.new)
        changes++
      }
      await scribe.mapHead()
    }

    const log = new LyingLog().append(...scribe.entries)
    log.sign()
    const [here, served] = [await quickPlace(), await log.serve()]
    try {
      const world = { log, served, db: here.db, anchors: ROOT_ANCHORS, clock: () => now }
      const monitor = await follower(world)
      await monitor.round(RUNNING)
      expect(monitor.status).toMatchObject({ state: 'following', size: scribe.size })
      expect(monitor.status.size).toBeGreaterThan(1_300)
      const rows = await new Changes(here.db).between(log.origin, 0, log.size, 10_000)
      expect(rows).toHaveLength(changes)
      const seen = new Map<string, readonly string[]>()
      for (const { ds, name } of rows) {
        seen.set(nameToText(name as never), decodeDsSet(ds).map(dsToText).sort())
      }
      expect(seen).toEqual(states)
    } finally {
      await served.close()
      await here.close()
    }
  },
)
