/** The real .gov under keys of a test: whole files, and every change of 928 days. */
import { nodeBackend } from '@dslog/dnssec/backend/node'
import { judgeDelegation } from '@dslog/dnssec/chain'
import { nameToText } from '@dslog/dnssec/name'
import { TYPE } from '@dslog/dnssec/records'
import { toHex } from '@dslog/tlog/bytes'
import { describe, expect, test } from 'vitest'
import { GOV_FILES, openGov, type GovEvidence } from '../src/gov.ts'
import { Internet } from '../src/internet.ts'

const net = new Internet()
const gov = openGov(net)
const backend = nodeBackend()

function hexes(rdatas: readonly Uint8Array[]): string {
  return rdatas.map(toHex).sort().join()
}

describe.skipIf(gov === undefined)('.gov', () => {
  const { authority, days } = gov ?? ({} as NonNullable<typeof gov>)

  /** DS RRsets of the zone as it is published. */
  function signedNames(): Map<string, string> {
    const sets = new Map<string, Uint8Array[]>()
    for (const { owner, rdata, type } of authority.zone.records) {
      if (type !== TYPE.DS) continue
      const name = nameToText(owner)
      sets.set(name, [...(sets.get(name) ?? []), rdata])
    }
    return new Map([...sets].map(([name, rdatas]) => [name, hexes(rdatas)]))
  }

  /** Names that the zone delegates, and its own. */
  function delegatedNames(): Set<string> {
    const cuts = authority.zone.records.filter(({ type }) => type === TYPE.NS)
    return new Set(cuts.map(({ owner }) => nameToText(owner)))
  }

  test('as it was on three days', () => {
    gov!.publish(GOV_FILES[0])
    const before = signedNames()
    gov!.publish(GOV_FILES[1])
    const after = signedNames()
    const gone = [...before.keys()].filter((name) => !after.has(name))
    const stayed = delegatedNames()
    expect(gone.filter((name) => stayed.has(name))).toHaveLength(57)
    gov!.publish(GOV_FILES[2])
    const last = signedNames()
    expect([before.size, after.size, last.size]).toEqual([1929, 1871, 2069])
    const final = [...gov!.final()].map(([name, ds]) => [name, hexes(ds)])
    expect(last).toEqual(new Map(final as [string, string][]))
    expect(delegatedNames().size).toBe(16_537)
  })

  test('as it went: the baseline and all changes give what is there at the end', () => {
    const state = new Map<string, string>()
    for (const { changes } of days) {
      for (const { ds, old, owner } of changes) {
        const name = nameToText(owner)
        expect(state.get(name) ?? '').toBe(hexes(old))
        if (ds.length === 0) state.delete(name)
        else state.set(name, hexes(ds))
      }
    }
    const final = [...gov!.final()].map(([name, ds]) => [name, hexes(ds)])
    expect(state).toEqual(new Map(final as [string, string][]))
    expect(days.every(({ at }, i) => i === 0 || at > days[i - 1]!.at)).toBe(true)
    expect(days[0]!.changes).toHaveLength(1562)
    const all = days.slice(1).flatMap(({ changes }) => changes)
    expect(all).toHaveLength(3582)
    expect(
      all.filter(({ change, isDelegated }) => change === 'removed' && isDelegated),
    ).toHaveLength(382)
  })

  test('each change is proven', async () => {
    const judge = async ({ ds, evidence, owner }: GovEvidence): Promise<void> => {
      const { keys, name: zone } = authority
      const records = evidence
      const verdict = await judgeDelegation({
        owner,
        zone,
        keys,
        records,
        at: net.clock.now(),
        backend,
      })
      if (verdict.verdict === 'present') expect(hexes(verdict.ds)).toBe(hexes(ds))
      else expect([verdict.verdict, ds]).toEqual(['absent', []])
    }
    // Every day with removals, of the others some.
    const removal = ({ change }: { change: string }): boolean => change === 'removed'
    const some = days.slice(1).filter(({ changes }, i) => i % 10 === 0 || changes.some(removal))
    const proven = some.flatMap((day) => gov!.replay(day).map((each) => ({ each, at: day.at })))
    expect(proven.length).toBeGreaterThan(1000)
    for (const { at, each } of proven) {
      net.clock.set(at)
      await judge(each)
    }
  })
})
