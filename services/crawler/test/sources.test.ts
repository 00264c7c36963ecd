/** What is read beside the DNS: lists of names, zone files, and how transfers are written down. */
import { createHash } from 'node:crypto'
import { mkdtemp, rm, utimes, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { sql } from 'kysely'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Name, nameFromText, nameToText } from '@dslog/dnssec/name'
import { rdataToText, typeToText } from '@dslog/dnssec/rdata'
import type { RR } from '@dslog/dnssec/records'
import { stateId } from '@dslog/schema/identity'
import { HOUR } from '@dslog/schema/time'
import { TestClock } from '@dslog/testbed/clock'
import { Internet } from '@dslog/testbed/internet'
import { listenOnLoopback } from '@dslog/testbed/loopback'
import { CrawlerError } from '../src/error.ts'
import { Frontier } from '../src/frontier.ts'
import { Source, TaskKind, Tier } from '../src/schedule.ts'
import { NamesFile } from '../src/source/names.ts'
import { mustWait, SourceError, SourceTable } from '../src/source/source.ts'
import { parseKeys, parsePlace, serialOf } from '../src/source/transfer.ts'
import type { ZoneTaker } from '../src/source/zone.ts'
import { ZoneFile } from '../src/source/zonefile.ts'
import { HASH_KEY, openPlace, type Place, putLogged, RUNNING } from './place.ts'

const clock = new TestClock()
const ORG = nameFromText('org.')

let place: Place
let frontier: Frontier
let folder: string

beforeAll(async () => {
  place = await openPlace()
  folder = await mkdtemp(join(tmpdir(), 'dslog-sources-'))
})
beforeEach(async () => {
  await place.empty()
  frontier = await Frontier.join(place.db, HASH_KEY, clock.now())
})
afterAll(async () => {
  await place.close()
  await rm(folder, { recursive: true, force: true })
})

async function queue(): Promise<string[]> {
  const rows = await place.db.kysely.selectFrom('task').select('name').execute()
  return rows.map(({ name }) => nameToText(name as Name)).sort()
}

async function due(now: number): Promise<string[]> {
  const tasks = await frontier.lease(now, 100)
  await frontier.giveBack(tasks)
  return tasks.map(({ name }) => nameToText(name)).sort()
}

describe('a file of names', () => {
  const file = (): string => join(folder, 'names')
  const open = (): NamesFile => new NamesFile(file(), frontier, clock.now)

  test('is read, with its remarks, and names as people write them', async () => {
    await writeFile(
      file(),
      '# ours\nExample.ORG\n\n  bücher.example.  # books\r\na.b.c\nexample.org.\n',
    )
    expect(await open().read(RUNNING)).toBe(3)
    expect(await queue()).toEqual(['a.b.c.', 'example.org.', 'xn--bcher-kva.example.'])
  })

  test('is read again only when it has changed', async () => {
    await writeFile(file(), 'a.example\n')
    const names = open()
    expect(await names.read(RUNNING)).toBe(1)
    expect(await names.read(RUNNING)).toBeUndefined()
    clock.advance(5000)
    await writeFile(file(), 'b.example\nc.example\n')
    expect(await names.read(RUNNING)).toBe(2)
    expect(await queue()).toEqual(['b.example.', 'c.example.'])
  })

  test.each([
    ['a..b', /line 2: empty label/],
    [`${'x'.repeat(64)}.example`, /line 2: label over 63/],
    ['a b.example', /line 2/],
    ['.', /line 2: the root/],
    ['\0', /line 2/],
    ['ü\u200f\u0000.example', /line 2/],
    ['y'.repeat(5000), /line 2: too long/],
  ])('with a broken line changes nothing: %j', async (line, reason) => {
    await writeFile(file(), 'kept.example\n')
    const names = open()
    await names.read(RUNNING)
    clock.advance(5000)
    await writeFile(file(), `new.example\n${line}\n`)
    await expect(names.read(RUNNING)).rejects.toThrow(reason)
    await expect(names.read(RUNNING)).rejects.toThrow(SourceError)
    expect(await queue()).toEqual(['kept.example.'])
    await writeFile(file(), 'new.example\n')
    expect(await names.read(RUNNING)).toBe(1)
  })

  test('that is not there says so', async () => {
    await rm(file(), { force: true })
    await expect(open().read(RUNNING)).rejects.toMatchObject({ code: 'unreachable' })
  })

  test('is read by two processes at a time, and loses nothing to either', async () => {
    const names = ['a', 'b', 'c'].map((label) => nameFromText(`${label}.example.`))
    const other = await Frontier.join(place.db, HASH_KEY, clock.now())
    const [first, second] = [clock.now(), clock.now() + 1]
    await frontier.list(names, first)
    await other.list(names.slice(0, 2), second)
    expect(await frontier.unlist(first)).toBe(0)
    expect(await queue()).toHaveLength(3)
    // The earlier one comes last: what the later one has found stays found.
    await frontier.list(names, first)
    await other.list(names.slice(2), second)
    expect(await other.unlist(second)).toBe(0)
    expect(await queue()).toHaveLength(3)
    expect(await frontier.unlist(second + 1)).toBe(3)
    expect(await queue()).toEqual([])
  })

  test('of thousands of names is read whole', async () => {
    const lines = Array.from({ length: 5_000 }, (_, i) => `n${i}.example`)
    await writeFile(file(), `${lines.join('\n')}\n`)
    expect(await open().read(RUNNING)).toBe(5_000)
    expect(await queue()).toHaveLength(5_000)
  })
})

function zoneText(records: readonly RR[]): string {
  return records
    .map(({ owner, rdata, ttl, type }) => {
      return `${nameToText(owner)} ${ttl} IN ${typeToText(type)} ${rdataToText(type, rdata)}\n`
    })
    .join('')
}

/** A list without signatures: so many names with a DS. */
function listText(count: number, digest = 'AA'): string {
  const names = Array.from({ length: count }, (_, i) => {
    return `n${i}.org. 60 IN NS ns.n${i}.org.\nn${i}.org. 60 IN DS 1 13 2 ${digest.repeat(32)}\n`
  })
  return `org. 60 IN SOA a. b. 1 2 3 4 5\n${names.join('')}`
}

const dsOf = (digest: number) => Uint8Array.of(0, 1, 13, 2, ...Array<number>(32).fill(digest))

describe('a zone file', () => {
  const taken: { apex: Name; records: number }[] = []
  let refused = 0
  const taker = {
    take: async (apex: Name, records: readonly RR[]) => {
      taken.push({ apex, records: records.length })
      return { zone: apex, serial: 1, signed: 3, changes: 0, refused }
    },
  } as unknown as ZoneTaker
  const options = () => ({
    db: place.db,
    table: new SourceTable(place.db),
    taker,
    frontier,
    clock: clock.now,
    fetch,
    folder: join(folder, 'downloads'),
    userAgent: 'test',
  })
  const open = (id: string): ZoneFile => new ZoneFile(id, options())
  const write = async (content: string | Uint8Array): Promise<string> => {
    const file = join(folder, 'zone')
    await writeFile(file, content)
    return file
  }
  const row = (id: string) => new SourceTable(place.db).get(id)

  beforeEach(() => {
    taken.length = 0
    refused = 0
  })

  test('that is signed is handed over whole, plain or gzip, once', async () => {
    const net = new Internet()
    const org = net.addZone('org.')
    org.delegate(nameFromText('a.org.'), [dsOf(1)])
    const text = zoneText(org.zone.records)
    const file = await write(gzipSync(text))
    expect(await open(file).read(RUNNING)).toBe(true)
    expect(await open(file).read(RUNNING)).toBe(false)
    expect(taken).toEqual([{ apex: ORG, records: org.zone.records.length }])
    await write(text)
    expect(await open(file).read(RUNNING)).toBe(true)
    expect(await row(file)).toMatchObject({ signed: 3, held: null })
  })

  test('is read again until two looks have found it untouched', async () => {
    const put = async (digest: string, at: number): Promise<string> => {
      const file = await write(listText(1, digest))
      await utimes(file, at, at)
      return file
    }
    const source = open(await put('AA', 1_000))
    expect(await source.read(RUNNING)).toBe(true)
    // Written again within one tick of the clock, and of the same size.
    await put('BB', 1_000)
    expect(await source.read(RUNNING)).toBe(true)
    await put('CC', 1_000)
    expect(await source.read(RUNNING)).toBe(false)
    await put('CC', 2_000)
    expect(await source.read(RUNNING)).toBe(true)
  })

  test('of which the log refused something is handed over again', async () => {
    const net = new Internet()
    const file = await write(zoneText(net.addZone('org.').zone.records))
    refused = 1
    expect(await open(file).read(RUNNING)).toBe(true)
    refused = 0
    expect(await open(file).read(RUNNING)).toBe(true)
    expect(await open(file).read(RUNNING)).toBe(false)
    expect(taken).toHaveLength(2)
  })

  test('that is only a trigger is never evidence: what differs is asked', async () => {
    const logged = async (i: number, digest: number): Promise<void> => {
      const name = nameFromText(`n${i}.org.`)
      const state = stateId(name, ORG, [dsOf(digest)])
      await putLogged(place, name, ORG, state)
      const due = clock.now() + HOUR
      await frontier.add([
        { name, kind: TaskKind.poll, tier: Tier.signed, due, source: Source.log },
      ])
    }
    await logged(0, 0xaa)
    await logged(1, 0xbb)
    await logged(99, 0xaa)
    const file = await write(
      `${listText(3)}org. 60 IN RRSIG SOA 13 1 60 20300101000000 20200101000000 1 org. AAAA\n`,
    )
    expect(await open(`trigger:${file}`).read(RUNNING)).toBe(true)
    expect(taken).toEqual([])
    // n0 is as the log has it, n1 is not, n2 is new, n99 is gone.
    expect(await due(clock.now())).toEqual(['n1.org.', 'n2.org.', 'n99.org.'])
  })

  test('without signatures that lost over a twentieth of its DS records waits', async () => {
    const file = await write(listText(100))
    await open(file).read(RUNNING)
    await write(listText(96))
    expect(await open(file).read(RUNNING)).toBe(true)
    await write(listText(90))
    await expect(open(file).read(RUNNING)).rejects.toMatchObject({ code: 'held' })
    await expect(open(file).read(RUNNING)).rejects.toMatchObject({ code: 'held' })
    expect(await row(file)).toMatchObject({ signed: 96 })
    const table = new SourceTable(place.db)
    expect((await table.list())[0]).toMatchObject({
      held: true,
      reason: expect.stringContaining('90'),
    })
    expect(await table.accept(file)).toBe(true)
    expect(await open(file).read(RUNNING)).toBe(true)
    expect(await row(file)).toMatchObject({ signed: 90, held: null, accepted: null })
    expect(await table.accept(file)).toBe(false)
  })

  test('that was let pass lets no other pass', async () => {
    const file = await write(listText(100))
    await open(file).read(RUNNING)
    await write(listText(50))
    await expect(open(file).read(RUNNING)).rejects.toMatchObject({ code: 'held' })
    await new SourceTable(place.db).accept(file)
    await write(listText(10))
    await expect(open(file).read(RUNNING)).rejects.toMatchObject({ code: 'held' })
  })

  test('that only lost names, or records of names, has those asked', async () => {
    const others = listText(5).replace(/n[34]\.org\. 60 IN DS .*\n/g, '')
    const file = await write(listText(5))
    await open(file).read(RUNNING)
    const names = (await frontier.lease(clock.now(), 100)).map(({ name }) => name)
    expect(names).toHaveLength(5)
    await sql`update task set due = ${clock.now() + HOUR}, holder = null`.execute(place.db.kysely)
    for (const name of names) {
      const state = stateId(name, ORG, [dsOf(0xaa)])
      await putLogged(place, name, ORG, state)
    }
    await write(`${others}; another version\n`)
    await expect(open(file).read(RUNNING)).rejects.toMatchObject({ code: 'held' })
    await new SourceTable(place.db).accept(file)
    expect(await open(file).read(RUNNING)).toBe(true)
    expect(await due(clock.now())).toEqual(['n3.org.', 'n4.org.'])
  })

  test('whose reader dies is read by another one, all of it', async () => {
    const file = await write(listText(3))
    const dies = new Error('power cut')
    const dying: Pick<Frontier, 'add' | 'hurry'> = {
      add: (tasks) => frontier.add(tasks),
      hurry: () => Promise.reject(dies),
    }
    const table = new SourceTable(place.db)
    const reader = new ZoneFile(file, { ...options(), frontier: dying as unknown as Frontier })
    await expect(reader.read(RUNNING)).rejects.toBe(dies)
    expect(await table.get(file)).toBeUndefined()
    await sql`update task set due = ${clock.now() + HOUR}`.execute(place.db.kysely)
    expect(await open(file).read(RUNNING)).toBe(true)
    expect(await due(clock.now())).toEqual(['n0.org.', 'n1.org.', 'n2.org.'])
  })

  test.each<[string, string | Uint8Array]>([
    ['nothing', ''],
    ['no SOA', 'a.org. 60 IN DS 1 13 2 AABB\n'],
    ['a word too few', `${listText(2)}x.org. 60 IN DS 1 13\n`],
    ['a name of another zone', `${listText(2)}x.net. 60 IN NS ns.\n`],
    ['gzip that is cut off', gzipSync(listText(400)).subarray(0, 600)],
    ['gzip of nonsense', Uint8Array.of(0x1f, 0x8b, 8, 0, 1, 2, 3, 4)],
    ['an inclusion', `${listText(1)}$INCLUDE /etc/passwd\n`],
    ['HTML', '<!doctype html><title>Log in</title>'],
  ])('with %s is refused whole', async (_what, content) => {
    const file = await write(content)
    await expect(open(file).read(RUNNING)).rejects.toMatchObject({ code: 'refused' })
    expect(await queue()).toEqual([])
    expect(await row(file)).toBeUndefined()
  })

  test('that is not there says so', async () => {
    await expect(open(join(folder, 'none')).read(RUNNING)).rejects.toMatchObject({
      code: 'unreachable',
    })
  })

  describe('by URL', () => {
    let server: Server
    let answer: { status: number; body: string | Uint8Array }
    let url: string
    beforeAll(async () => {
      server = createServer((_request, response) => {
        response.writeHead(answer.status).end(answer.body)
      })
      url = `http://127.0.0.1:${await listenOnLoopback(server)}/org.zone.gz`
    })
    afterAll(() => void server.close())

    test('is fetched, read, and not kept', async () => {
      answer = { status: 200, body: gzipSync(listText(2)) }
      expect(await open(url).read(RUNNING)).toBe(true)
      expect(await open(url).read(RUNNING)).toBe(false)
      expect(await due(clock.now())).toEqual(['n0.org.', 'n1.org.'])
      const name = createHash('sha256').update(url).digest('hex')
      await expect(
        writeFile(join(folder, 'downloads', `${name}.zone`), '', { flag: 'wx' }),
      ).resolves.toBeUndefined()
    })

    test('that is refused says so', async () => {
      answer = { status: 403, body: 'no' }
      await expect(open(url).read(RUNNING)).rejects.toMatchObject({
        code: 'unreachable',
        message: expect.stringContaining('403'),
      })
    })
  })
})

describe('a list', () => {
  test.each([
    [undefined, 0, false],
    [100, 100, false],
    [100, 95, false],
    [100, 94, true],
    [100, 0, true],
    [0, 0, false],
  ])('of %s names, then %i, waits: %s', (before, now, waits) => {
    const row = { id: 'x', version: 'v', held: null, accepted: null, signed: before ?? 0 }
    expect(mustWait(before === undefined ? undefined : row, 'w', now)).toBe(waits)
  })
})

describe('places of transfers', () => {
  const keys = parseKeys('Key.:hmac-sha256:c2VjcmV0, other:hmac-sha512:AAEC')

  test.each([
    ['.@192.0.2.1', { host: '192.0.2.1', port: undefined, key: undefined }],
    ['se@zonedata.iis.se:5353', { host: 'zonedata.iis.se', port: 5353 }],
    ['ch.@[2001:db8::1]:53#key', { host: '2001:db8::1', port: 53, key: keys[0] }],
    ['ch.@2001:db8::1#other.', { host: '2001:db8::1', port: undefined, key: keys[1] }],
  ])('%s', (text, place) => {
    expect(parsePlace(text, keys)).toMatchObject(place)
  })

  test.each([
    'se',
    'se@',
    '@192.0.2.1',
    'se@192.0.2.1:0',
    'se@192.0.2.1:65536',
    'se@a#nokey',
    'a b@c',
    'a..b@192.0.2.1',
    'se@192.0.2.1#a..b',
  ])('that cannot be meant: %s', (text) => {
    expect(() => parsePlace(text, keys)).toThrow(CrawlerError)
    expect(() => parsePlace(text, keys)).toThrow(text)
  })

  test.each(['a', 'a:b', 'a:b:', 'a:b:c:d', 'a..b:hmac-sha256:AAEC', 'a:md5:AAEC'])(
    'keys that cannot be meant: %s',
    (text) => {
      expect(() => parseKeys(text)).toThrow(CrawlerError)
    },
  )

  test('a key of transfers has its secret as bytes', () => {
    expect(keys[1]).toMatchObject({ algorithm: 'hmac-sha512', secret: Uint8Array.of(0, 1, 2) })
    expect(parseKeys('')).toEqual([])
  })

  test('a serial is that of the SOA', () => {
    const org = new Internet().addZone('org.')
    const before = serialOf(org.zone.records, ORG)
    org.sign()
    expect(serialOf(org.zone.records, ORG)).toBe(before + 1)
    expect(() => serialOf([], ORG)).toThrow(SourceError)
    expect(() => serialOf(org.zone.records, nameFromText('net.'))).toThrow(SourceError)
  })
})
