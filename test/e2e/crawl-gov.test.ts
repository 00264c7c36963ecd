/**
 * The real .gov under a key of the test, asked name by name: the log has each delegation that the registry
 * published, with exactly its DS, and the day on which 57 of them went insecure and one was given up.
 */
import { expect, test } from 'vitest'
import { type Name, nameKey } from '@dslog/dnssec/name'
import { TYPE } from '@dslog/dnssec/records'
import { stateId } from '@dslog/schema/identity'
import { MINUTE } from '@dslog/schema/time'
import { toBase64 } from '@dslog/tlog/bytes'
import { TestClock } from '@dslog/testbed/clock'
import { openGov, type Gov, type GovFile } from '@dslog/testbed/gov'
import { Internet } from '@dslog/testbed/internet'
import type { CrawlWorld } from '../crawl.ts'
import { crawls } from './crawled.ts'

/** Names without a DS that are asked, too: what they show is always the same. */
const SOME = 300

/** How often is asked again what was put off. */
const PATIENCE = 5

const noon = (file: GovFile): number => Date.parse(`${file}T12:00:00Z`)

/** States by name. */
type States = ReadonlyMap<string, string>

const open = crawls()

/** Owners in the zone that have records of a type, each with those records. */
function ownersOf({ authority }: Gov, type: number): Map<Name, Uint8Array[]> {
  const owners = new Map<string, { owner: Name; rdatas: Uint8Array[] }>()
  for (const rr of authority.zone.records) {
    if (rr.type !== type || rr.owner.length === authority.name.length) continue
    const of = owners.get(nameKey(rr.owner)) ?? { owner: rr.owner, rdatas: [] }
    of.rdatas.push(rr.rdata)
    owners.set(nameKey(rr.owner), of)
  }
  return new Map([...owners.values()].map(({ owner, rdatas }) => [owner, rdatas]))
}

/** What the registry says. */
function published(gov: Gov): States {
  const states = [...ownersOf(gov, TYPE.DS)].map(([owner, ds]) => {
    return [nameKey(owner), toBase64(stateId(owner, gov.authority.name, ds))] as const
  })
  return new Map(states)
}

/** What the log says, of names with a DS; and how many have none any more. */
async function logged({ crawler }: CrawlWorld): Promise<{ signed: States; insecure: number }> {
  const rows = await crawler.db.kysely.selectFrom('logged').selectAll().execute()
  const signed = rows.filter((row) => row.signed)
  return {
    signed: new Map(signed.map(({ name, state }) => [nameKey(name as Name), toBase64(state)])),
    insecure: rows.length - signed.length,
  }
}

test('each delegation is found, and each that goes', async () => {
  const net = new Internet({ clock: new TestClock(noon('2025-08-12')), servers: 4 })
  const gov = openGov(net)
  if (gov === undefined) return
  gov.publish('2025-08-12')
  const own = await open({ net })
  /** Has asked anew whatever was asked, and names that are new. */
  const ask = async (): Promise<void> => {
    await own.again(0)
    await own.ask(...ownersOf(gov, TYPE.DS).keys())
    await own.ask(...[...ownersOf(gov, TYPE.NS).keys()].slice(0, SOME))
    // On a busy machine a name may have to wait for the database; no server is thought worse of for that.
    for (let i = 0; i < PATIENCE && (await own.failing()) > 0; i++) await own.again(MINUTE)
    expect(await own.failing()).toBe(0)
    expect(await own.count('dslog_crawler_slowed_servers')).toBe(0)
    expect(await own.count('dslog_crawler_blocked_servers')).toBe(0)
  }
  await ask()
  expect(published(gov).size).toBe(1_929)
  expect(await logged(own)).toEqual({ signed: published(gov), insecure: 0 })

  net.clock.set(noon('2025-08-13'))
  gov.publish('2025-08-13')
  await ask()
  // 57 are delegated still, and one is not.
  expect(await logged(own)).toEqual({ signed: published(gov), insecure: 58 })

  net.clock.set(noon('2026-08-22'))
  gov.publish('2026-08-22')
  await ask()
  expect(published(gov).size).toBe(2_069)
  expect((await logged(own)).signed).toEqual(published(gov))
}, 600_000)
