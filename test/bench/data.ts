/** Real root zones, read in place; see their README. */
import { createReadStream, existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT_ANCHORS } from '@dslog/dnssec/anchors'
import { nodeBackend } from '@dslog/dnssec/backend/node'
import { type SignedZone, verifyZone } from '@dslog/dnssec/zone'
import { readZoneFile } from '@dslog/dnssec/zonefile'
import { SHARED } from '@dslog/testbed/shareddata'

const DATA = join(SHARED, 'data/root')

/** Zone files, oldest first; none if they are not on this machine. */
export function rootZones(): string[] {
  if (!existsSync(DATA)) return []
  const files = readdirSync(DATA).filter((name) => name.endsWith('.zone.gz'))
  return files.sort().map((name) => join(DATA, name))
}

/** Reads and verifies a zone file at its own time. */
export function verified(file: string): Promise<SignedZone> {
  return verifyZone({
    records: readZoneFile(createReadStream(file)),
    trust: { anchors: ROOT_ANCHORS },
    backend: nodeBackend(),
  })
}
