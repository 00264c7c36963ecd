/**
 * An audit of real evidence: the changes of root zones of ten years, every signature, rule and MAP_HEAD.
 * The log that is audited is made here, without a database.
 */
import { UpperTree } from '@dslog/tlog/maptree'
import { ROOT_ANCHORS } from '@dslog/dnssec/anchors'
import { nodeBackend } from '@dslog/dnssec/backend/node'
import { nameToText } from '@dslog/dnssec/name'
import { encodeEntry } from '@dslog/schema/entry'
import { mapKey, MapKind } from '@dslog/schema/identity'
import { Auditor } from '@dslog/verify/audit'
import { EMPTY_HEAD, Fold } from '@dslog/verify/fold'
import { keyText } from '@dslog/verify/foldstore'
import { MemoryStore } from '@dslog/verify/memory'
import { Observer } from '@dslog/verify/observe'
import { diffZone, keyRecords } from '@dslog/verify/zonediff'
import { rootZones, verified } from './data.ts'
import { type Benchmark, repeat, secondsOf } from './harness.ts'

const DEPTH = 16
/** Entries that are handed to the auditor at once, as the monitor does. */
const RUN = 1_024

export const audit: Benchmark = {
  name: 'audit',
  about: 'audit of the changes of real root zones',
  async run(bench) {
    const files = rootZones().slice(-bench.sizes.zones)
    if (files.length === 0) return bench.skip('audit: no root zones')
    const entries = await logOf(files)
    const check = async (): Promise<void> => {
      const fold = newFold(new MemoryStore())
      const auditor = new Auditor(fold, { anchors: ROOT_ANCHORS, backend: nodeBackend() })
      for (let at = 0; at < entries.length; at += RUN) {
        const violation = await auditor.check(entries.slice(at, at + RUN))
        if (violation !== undefined) throw new Error(violation.reason)
      }
    }
    await check()
    const runs = await repeat(bench.sizes.runs, async () => {
      return entries.length / (await secondsOf(check))
    })
    bench.report(`entries of ${files.length} root zones, ${entries.length} in all`, '/s', runs)
  },
}

function newFold(store: MemoryStore): Fold {
  return new Fold(EMPTY_HEAD, new UpperTree(DEPTH), { store, anchors: ROOT_ANCHORS })
}

/** The entries of a log into which zones are imported, a tree for each. */
async function logOf(files: readonly string[]): Promise<Uint8Array[]> {
  const backend = nodeBackend()
  const fold = newFold(new MemoryStore())
  const entries = [encodeEntry(await fold.appendMapHead(1))]
  const states = new Map<string, readonly string[]>()
  const sets = new Map<string, Awaited<ReturnType<Fold['lookup']>>>()
  const rootKey = keyText(mapKey(MapKind.zoneKeys, new Uint8Array([0]) as never))
  for (const file of files) {
    const zone = await verified(file)
    const moment = { time: zone.at, historical: true }
    const known = {
      lookup: fold.lookup,
      keysOfZone: async () => sets.get(rootKey) ?? [],
    }
    const observer = new Observer(known, { anchors: ROOT_ANCHORS, backend }, moment)
    const candidates = await observer.zoneKeys(zone.zone, keyRecords(zone))
    for (const { name, records, new: now } of diffZone(zone, states)) {
      candidates.push(...(await observer.delegation(name, records)))
      states.set(nameToText(name), now)
    }
    for (const candidate of candidates) {
      const admission = await fold.admit(candidate, moment)
      if (admission.status === 'logged') entries.push(admission.bytes)
      if (candidate.kind === 'keys') {
        sets.set(rootKey, [...(await fold.lookup(candidate.keysId)), ...(sets.get(rootKey) ?? [])])
      }
    }
    entries.push(encodeEntry(await fold.appendMapHead(zone.at + 1)))
  }
  return entries
}
