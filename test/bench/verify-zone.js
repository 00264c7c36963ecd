/// <reference types="node" />
/**
 * A process that does what `ldns-verify-zone` does and no more: reads the zone file that it is given and verifies all of it
 * at its own time. Plain JavaScript on the built packages, so that nothing is measured but them.
 */
import { createReadStream } from 'node:fs'
import { ROOT_ANCHORS } from '@dslog/dnssec/anchors'
import { nodeBackend } from '@dslog/dnssec/backend/node'
import { verifyZone } from '@dslog/dnssec/zone'
import { readZoneFile } from '@dslog/dnssec/zonefile'

const [, , file] = process.argv
const zone = await verifyZone({
  records: readZoneFile(createReadStream(file)),
  trust: { anchors: ROOT_ANCHORS },
  backend: nodeBackend(),
})
console.log(`${zone.delegations.length} delegations with DS, serial ${zone.serial}`)
