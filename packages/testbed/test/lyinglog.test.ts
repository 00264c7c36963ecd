import { afterEach, describe, expect, test } from 'vitest'
import { toHex, utf8 } from '@dslog/tlog/bytes'
import { LogClient } from '@dslog/tlog/client'
import { HttpClient } from '@dslog/tlog/http'
import { UpperTree } from '@dslog/tlog/maptree'
import { MisbehaviourError } from '@dslog/tlog/misbehaviour'
import { parsePolicy } from '@dslog/tlog/policy'
import { nodeBackend } from '@dslog/dnssec/backend/node'
import { nameFromText } from '@dslog/dnssec/name'
import { decodeEntry } from '@dslog/schema/entry'
import { HOUR } from '@dslog/schema/time'
import { LyingLog, Scribe, type ServedLog } from '../src/lyinglog.ts'
import { Internet } from '../src/internet.ts'
import { ownerDs } from '../src/stories.ts'
import { Auditor, type Violation } from '@dslog/verify/audit'
import { EMPTY_HEAD, Fold } from '@dslog/verify/fold'
import { MemoryStore } from '@dslog/verify/memory'

const OWNER = nameFromText('example.fi.')
const open: ServedLog[] = []

afterEach(async () => {
  await Promise.all(open.splice(0).map((served) => served.close()))
})

/** A registry with one name that has a DS. */
function internet(): Internet {
  const net = new Internet()
  net.addZone('fi.').delegate(OWNER, [ownerDs(OWNER)])
  return net
}

function scribeOf({ anchors, clock }: Internet): Scribe {
  return new Scribe({ anchors, now: clock.now })
}

async function audit(
  net: Internet,
  entries: readonly Uint8Array[],
): Promise<Violation | undefined> {
  const { anchors } = net
  const fold = new Fold(EMPTY_HEAD, new UpperTree(8), { store: new MemoryStore(), anchors })
  return new Auditor(fold, { anchors, backend: nodeBackend() }).check(entries)
}

const typesOf = (entries: readonly Uint8Array[]): string[] =>
  entries.map((bytes) => decodeEntry(bytes).type)

describe('a scribe', () => {
  test('writes what an auditor finds nothing wrong with', async () => {
    const net = internet()
    const scribe = scribeOf(net)
    await scribe.mapHead()
    const admissions = await scribe.observe(OWNER, net.evidence(OWNER))
    expect(admissions.map(({ status }) => status)).toEqual(['logged', 'logged', 'logged'])
    await scribe.mapHead()
    const again = await scribe.observe(OWNER, net.evidence(OWNER))
    expect(again.map(({ status }) => status)).toEqual(['known', 'known', 'known'])
    net.clock.advance(HOUR)
    net.zoneOf(OWNER).undelegate(OWNER)
    await scribe.observe(OWNER, net.evidence(OWNER))
    await scribe.mapHead()
    expect(typesOf(scribe.entries)).toEqual([
      'map-head',
      'zone-keys',
      'zone-keys',
      'ds',
      'map-head',
      'no-ds',
      'map-head',
    ])
    expect(await audit(net, scribe.entries)).toBeUndefined()
  })

  test('writes history too', async () => {
    const net = internet()
    const at = net.clock.now()
    const evidence = net.evidence(OWNER)
    net.clock.advance(1e10)
    const scribe = scribeOf(net)
    await scribe.mapHead()
    await scribe.observeKeys(nameFromText('fi.'), evidence, at)
    await scribe.observe(OWNER, evidence, at)
    await scribe.mapHead()
    expect(typesOf(scribe.entries)).toEqual([
      'map-head',
      'zone-keys',
      'zone-keys',
      'ds',
      'map-head',
    ])
    expect(decodeEntry(scribe.entries[3]!)).toMatchObject({ time: at, historical: true })
    expect(await audit(net, scribe.entries)).toBeUndefined()
  })

  test('keeps out of the map what it is told to slip in', async () => {
    const net = internet()
    const [honest, liar] = [scribeOf(net), scribeOf(net)]
    for (const scribe of [honest, liar]) {
      await scribe.mapHead()
      await scribe.observeKeys(nameFromText('fi.'), net.evidence(OWNER))
    }
    await honest.observe(OWNER, net.evidence(OWNER))
    liar.slip(honest.entries.at(-1)!)
    expect(liar.entries.map(toHex)).toEqual(honest.entries.map(toHex))
    await Promise.all([honest.mapHead(), liar.mapHead()])
    expect(await audit(net, honest.entries)).toBeUndefined()
    expect(await audit(net, liar.entries)).toMatchObject({
      kind: 'bad-map',
      index: liar.size - 1,
      expected: honest.entries.at(-1),
    })
  })
})

describe('a lying log', () => {
  const entry = (i: number): Uint8Array => utf8(`entry ${i}`)
  const some = (count: number): Uint8Array[] => Array.from({ length: count }, (_, i) => entry(i))

  async function clientOf(log: LyingLog): Promise<LogClient> {
    const served = await log.serve()
    open.push(served)
    const http = new HttpClient({ fetch, now: () => 0, random: () => 0 }, { retries: 0 })
    return new LogClient(served.url, parsePolicy(log.policy), http)
  }

  async function read(client: LogClient): Promise<string[]> {
    const tree = await client.checkpoint()
    const texts: string[] = []
    for await (const { entry } of client.entries(0, tree.checkpoint.size, tree)) {
      texts.push(new TextDecoder().decode(entry))
    }
    return texts
  }

  test('serves any entries as a tree that verifies, at every size', async () => {
    const log = new LyingLog()
    const client = await clientOf(log)
    let tree
    for (const size of [0, 1, 2, 255, 256, 257, 513, 700]) {
      log.append(...some(size).slice(log.size)).sign()
      expect(await read(client)).toHaveLength(size)
      const newest = await client.checkpoint()
      if (tree !== undefined) await client.advance(tree, newest)
      tree = newest
    }
    expect(await read(client)).toEqual(some(700).map((bytes) => new TextDecoder().decode(bytes)))
    expect(log.asked).toContain('tile/entries/002.p/188')
  })

  test('goes back, and forks', async () => {
    const log = new LyingLog().append(...some(300))
    log.sign()
    const client = await clientOf(log)
    const tree = await client.checkpoint()
    log.sign(100)
    expect(await read(client)).toHaveLength(100)
    await expect(client.follow(tree)).rejects.toMatchObject({ code: 'late' })
    log.sign()
    await client.follow(tree)

    const fork = log.fork(290).append(entry(-1))
    expect(fork.vkey).toBe(log.vkey)
    expect(fork.size).toBe(291)
    fork.sign()
    const forked = await (await clientOf(fork)).checkpoint()
    await expect(client.advance(forked, tree)).rejects.toThrow(MisbehaviourError)
    expect(log.size).toBe(300)
  })

  test('changes what it has published', async () => {
    const log = new LyingLog().append(...some(10))
    log.sign()
    const client = await clientOf(log)
    log.flip('tile/entries/000.p/10', 2)
    await expect(read(client)).rejects.toMatchObject({ misbehaviour: { kind: 'bad-entry' } })
    expect(() => log.flip('tile/entries/001', 0)).toThrow(RangeError)
    expect(() => log.flip('checkpoint', 1e6)).toThrow(RangeError)
    log.files.delete('checkpoint')
    await expect(read(client)).rejects.toMatchObject({ code: 'http', status: 404 })
  })

  test('has the key of its name', () => {
    expect(new LyingLog('a.example').vkey).toBe(new LyingLog('a.example').vkey)
    expect(new LyingLog('a.example').vkey).not.toBe(new LyingLog('b.example').vkey)
    expect(new LyingLog('a.example').vkey).toMatch(/^a\.example\+/)
  })
})
