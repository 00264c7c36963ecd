/** Names of top-level domains that were made up and are really signed, and how they are handed in. */
import { setTimeout as sleep } from 'node:timers/promises'
import { toBase64 } from '@dslog/tlog/bytes'
import { formatAnchors } from '@dslog/dnssec/anchors'
import { nameFromText, nameToText } from '@dslog/dnssec/name'
import { encodeRecord } from '@dslog/dnssec/wire'
import type { SubmitResults } from '@dslog/schema/api'
import { TestClock } from '@dslog/testbed/clock'
import { Internet } from '@dslog/testbed/internet'
import { ownerDs } from '@dslog/testbed/stories'
import { TOKEN } from './running.ts'

/** A crawler that was sent away comes again after so long, ms. */
const AGAIN_MS = 250

/** Evidence of one name, as it is submitted. */
export interface SignedName {
  readonly owner: string
  readonly records: readonly Uint8Array[]
}

/**
 * Names below `fi.`, or where that gets too large, `fi1.` and so on.
 *
 * @param algorithm of the domains' keys
 * @param perZone most names of a domain: finding evidence takes as long as the domain is large
 */
export function signedNames(
  count: number,
  algorithm: number,
  perZone = count,
): { readonly anchors: string; readonly names: readonly SignedName[] } {
  const net = new Internet({ clock: new TestClock(Date.now()) })
  const zones = Array.from({ length: Math.ceil(count / perZone) }, (_, i) => {
    return net.addZone(i === 0 ? 'fi.' : `fi${i}.`, { algorithm })
  })
  // All of them first: a zone that changes is put in order anew.
  const owners = Array.from({ length: count }, (_, i) => {
    const zone = zones[Math.floor(i / perZone)]!
    const owner = nameFromText(`name${i}.${nameToText(zone.name)}`)
    zone.delegate(owner, [ownerDs(owner)])
    return owner
  })
  const names = owners.map((owner) => {
    // The DS set, then its signature, then the keys.
    const records = net.evidence(owner).map((record) => encodeRecord(record))
    return { owner: nameToText(owner), records }
  })
  return { anchors: formatAnchors(net.anchors), names }
}

/** The body of a submission. */
export function bodyOf(names: readonly SignedName[]): string {
  const observations = names.map(({ owner, records }) => {
    return { owner, records: records.map(toBase64) }
  })
  return JSON.stringify({ observations })
}

/** As a crawler does: whoever is told to come again comes again. */
export async function submit(log: string, body: string): Promise<SubmitResults> {
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${TOKEN}` }
  for (;;) {
    const answer = await fetch(`${log}/v1/observations`, { method: 'POST', headers, body })
    const text = await answer.text()
    if (answer.ok) return JSON.parse(text) as SubmitResults
    if (!answer.headers.has('retry-after')) throw new Error(`${answer.status}: ${text}`)
    await sleep(AGAIN_MS)
  }
}
