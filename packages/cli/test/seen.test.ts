/** What somebody saw, in all the forms it comes in, and the signed states in it. */
import { describe, expect, test } from 'vitest'
import { nameFromText, nameToText, type Name } from '@dslog/dnssec/name'
import { MAX_ITERATIONS } from '@dslog/dnssec/nsec3'
import { rdataToText, typeToText } from '@dslog/dnssec/rdata'
import { dsToText, parseRrsig, type RR, TYPE } from '@dslog/dnssec/records'
import type { LogApi } from '@dslog/service/logapi'
import { Internet } from '@dslog/testbed/internet'
import { ownerDs } from '@dslog/testbed/stories'
import { Bag } from '../src/bag.ts'
import { lacking } from '../src/command/submit.ts'
import { Failure } from '../src/failure.ts'
import { readSeen } from '../src/seen.ts'

const OWNER = nameFromText('a.test.')
const ds = (name: Name): Uint8Array => ownerDs(name, 1)

function internet(denial: 'nsec' | { nsec3: object } = 'nsec') {
  const net = new Internet()
  const tld = net.addZone('test.', { denial })
  tld.delegate(OWNER, [ds(OWNER)])
  tld.delegate(nameFromText('b.test.'))
  return net
}

const line = ({ owner, rdata, ttl, type }: RR) =>
  `${nameToText(owner)}\t${ttl}\tIN\t${typeToText(type)}\t${rdataToText(type, rdata)}\n`

async function* chunks(...parts: (string | Uint8Array)[]): AsyncGenerator<Uint8Array> {
  for (const part of parts) yield typeof part === 'string' ? new TextEncoder().encode(part) : part
}

const ids = (records: readonly RR[]) => records.map(line).sort()

describe('records are read', () => {
  const records = internet().evidence(OWNER)
  const lines = records.map(line)

  test('from what dig prints', async () => {
    const text = `\n; <<>> DiG 9.18 <<>> +dnssec\n;; ANSWER SECTION:\n${lines.join('')}\n;; WHEN: now\n`
    expect(ids(await readSeen(chunks(text)))).toEqual(lines.toSorted())
  })

  test("from Unbound's cache, record by record among other lines", async () => {
    const dump = [
      'START_RRSET_CACHE\n',
      ...lines.flatMap((text) => [';rrset 3600 1 1 8 0\n', text]),
      'END_RRSET_CACHE\nSTART_MSG_CACHE\nmsg a.test. IN DS 32896 1 3600 0 1 0 0 -1\nEND_MSG_CACHE\nEOF\n',
    ]
    expect(ids(await readSeen(chunks(...dump)))).toEqual(lines.toSorted())
  })

  test("from BIND's dump, where an owner is not said twice", async () => {
    const dump = [
      '; Start view _default\n$DATE 20240701000000\n; authanswer\n',
      ...lines.map((text, i) => {
        const same = i > 0 && lines[i - 1]!.split('\t')[0] === text.split('\t')[0]
        return `; secure\n${same ? text.replace(/^\S+/, '') : text}`
      }),
      'x.test.  3600 \\-DS ;-$NXRRSET\n; end\n',
    ]
    expect(ids(await readSeen(chunks(...dump)))).toEqual(lines.toSorted())
  })

  test.each(['', 'nothing of the kind\n', '<html></html>', '\0\0\0\0'])(
    'but not from something else: %j',
    async (text) => {
      await expect(readSeen(chunks(text))).rejects.toThrow(Failure)
    },
  )
})

test('a large file of zeros is something else, and that is soon seen', async () => {
  await expect(readSeen(chunks(new Uint8Array(50_000_000)))).rejects.toThrow('no DNS records')
})

describe('a bag', () => {
  test('holds signed DS records with everything above them', () => {
    const net = internet()
    const states = new Bag(net.evidence(OWNER)).states()
    const state = states.find(({ owner }) => nameToText(owner) === 'a.test.')
    expect(state).toMatchObject({ ds: [dsToText(ds(OWNER))] })
    expect(nameToText(state!.zone)).toBe('test.')
    // DS, keys of test., its DS, keys of the root: each with a signature at least.
    expect(state!.observation.records!.length).toBeGreaterThanOrEqual(8)
  })

  test('without signatures holds nothing', () => {
    const bare = internet()
      .evidence(OWNER)
      .filter(({ type }) => type !== TYPE.RRSIG)
    expect(new Bag(bare).states()).toEqual([])
  })

  test.each(['nsec', { nsec3: {} }] as const)('proves absence by %j', (denial) => {
    const net = internet(denial)
    const name = nameFromText('b.test.')
    const bag = new Bag([...net.evidence(name), ...net.evidence(OWNER)])
    const [zone] = bag.denyingZones()
    expect(nameToText(zone!)).toBe('test.')
    const absent = bag.absences(zone!, [name, OWNER, nameFromText('x.other.')])
    expect(absent.map(({ owner }) => nameToText(owner))).toEqual(['b.test.'])
    expect(absent[0]).toMatchObject({ ds: [] })
  })

  test.each(['nsec', { nsec3: {} }] as const)('proves it beside nonsense, by %j', (denial) => {
    const net = internet(denial)
    const name = nameFromText('b.test.')
    const evidence = net.evidence(name)
    const type = denial === 'nsec' ? TYPE.NSEC : TYPE.NSEC3
    const signed = evidence.find((rr) => {
      return rr.type === TYPE.RRSIG && parseRrsig(rr.rdata).typeCovered === type
    })!
    const nonsense = ['c.test.', 'd.test.'].flatMap((text): RR[] => {
      const owner = nameFromText(text)
      return [
        { ...signed, owner, type, rdata: Uint8Array.of(1, 2, 3) },
        { ...signed, owner },
      ]
    })
    const bag = new Bag([...nonsense, ...evidence])
    expect(bag.absences(nameFromText('test.'), [name])).toHaveLength(1)
  })

  test.each([
    [MAX_ITERATIONS, 1],
    [MAX_ITERATIONS + 1, 0],
  ])('proves absence by %i iterations of NSEC3 in %i case', (iterations, count) => {
    const name = nameFromText('b.test.')
    const evidence = internet({ nsec3: { iterations } }).evidence(name)
    expect(new Bag(evidence).absences(nameFromText('test.'), [name])).toHaveLength(count)
  })

  test('of nonsense is empty', () => {
    const nonsense = [TYPE.DS, TYPE.RRSIG, TYPE.NSEC, TYPE.NSEC3, TYPE.DNSKEY].map((type) => ({
      owner: OWNER,
      type,
      class: 1,
      ttl: 1,
      rdata: Uint8Array.of(1, 2, 3),
    }))
    const bag = new Bag(nonsense)
    expect(bag.states()).toEqual([])
    expect(bag.denyingZones()).toEqual([])
  })
})

test('all states of a large zone are soon held against those of a log', async () => {
  const zone = nameFromText('test.')
  const observation = { owner: 'test.' }
  const states = Array.from({ length: 100_000 }, (_, i) => {
    return { owner: nameFromText(`n${i}.test.`), zone, ds: ['1 13 2 00'], observation }
  })
  const held = new Map(states.slice(1).map(({ ds, owner }) => [nameToText(owner), ds]))
  const log = { states: async () => held } as unknown as LogApi
  expect(await lacking(log, states)).toEqual([states[0]])
})
