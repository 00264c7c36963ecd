/** Absence by NSEC: every kind of proof by hand, and beside each the traps that look like it. */
import { describe, expect, test } from 'vitest'
import { DENIAL, proveNoDs } from '../src/denial.ts'
import { nameFromText } from '../src/name.ts'
import { TYPE, type RR } from '../src/records.ts'
import { rrset } from '../src/rrset.ts'
import { about, expectProof, expectRefused, KEY, ZONE } from './deny.ts'
import { ed25519Key, NOW, record, signed, signRRset, type SignOptions } from './sign.ts'

function nsec(owner: string, next: string, types = '', options?: SignOptions): Promise<RR[]> {
  return signed([record(owner, 'NSEC', `${next} ${types}`)], KEY, ZONE, options)
}

async function bag(...parts: Promise<RR[]>[]): Promise<RR[]> {
  return (await Promise.all(parts)).flat()
}

/** Seconds before now, so that each record's signature can be told from the others'. */
const ago = (seconds: number): SignOptions => ({ inception: NOW - seconds })

const chain = [
  nsec('example.', 'a.example.', 'NS SOA RRSIG NSEC DNSKEY', ago(100)),
  nsec('a.example.', 'b.example.', 'NS DS RRSIG NSEC', ago(101)),
  nsec('b.example.', 'cname.example.', 'NS RRSIG NSEC', ago(102)),
  nsec('cname.example.', 'dname.example.', 'CNAME RRSIG NSEC', ago(103)),
  nsec('dname.example.', 'x.ent.example.', 'DNAME RRSIG NSEC', ago(104)),
  nsec('x.ent.example.', 'm.example.', 'A RRSIG NSEC', ago(105)),
  nsec('m.example.', '*.w.example.', 'A RRSIG NSEC', ago(106)),
  nsec('*.w.example.', 'y.w.example.', 'TXT RRSIG NSEC', ago(107)),
  nsec('y.w.example.', 'z.example.', 'A RRSIG NSEC', ago(108)),
  nsec('z.example.', 'example.', 'A RRSIG NSEC', ago(109)),
]

describe('kind 1, a match', () => {
  test('an unsigned delegation', async () => {
    const proof = await expectProof('b.example.', await bag(...chain), DENIAL.NSEC_MATCH, [
      'b.example.',
    ])
    expect(proof).toMatchObject({ inception: NOW - 102, insecure: false, weak: false })
  })

  test('any other name that exists without a DS', async () => {
    for (const owner of ['m.example.', 'x.ent.example.', '*.w.example.', 'dname.example.']) {
      await expectProof(owner, await bag(...chain), DENIAL.NSEC_MATCH, [owner])
    }
  })

  test('compact denial of a name that does not exist (RFC 9824)', async () => {
    const lie = await nsec('no.example.', '\\000.no.example.', 'RRSIG NSEC TYPE128')
    await expectProof('no.example.', lie, DENIAL.NSEC_MATCH, ['no.example.'])
  })

  test('trap: the bitmap has DS', () => bag(...chain).then((b) => expectRefused('a.example.', b)))

  test('trap: the bitmap has CNAME', async () => {
    await expectRefused('cname.example.', await bag(...chain))
  })

  test("trap: the bitmap has SOA: the child's own apex, though signed by the parent's key", async () => {
    await expectRefused('c.example.', await nsec('c.example.', 'd.example.', 'NS SOA RRSIG NSEC'))
  })

  test("trap: the child's apex, signed by the child", async () => {
    const child = nameFromText('c.example.')
    const records = [record('c.example.', 'NSEC', 'a.c.example. NS RRSIG NSEC')]
    await expectRefused('c.example.', await signed(records, KEY, child), 'no-signature')
  })

  test('trap: the owner is the zone itself, or above it, or beside it', async () => {
    const all = await bag(...chain)
    for (const owner of ['example.', '.', 'example.org.', 'b.xexample.']) {
      await expectRefused(owner, all, 'bad-owner')
    }
  })
})

describe('kind 2, name error', () => {
  test('one record for the name, one for the wildcard', async () => {
    const proof = await expectProof('n.example.', await bag(...chain), DENIAL.NSEC_NAME_ERROR, [
      'example.',
      'm.example.',
    ])
    expect(proof.inception).toBe(NOW - 106)
  })

  test('one record for both', async () => {
    const all = await bag(...chain)
    const proof = await expectProof('0.example.', all, DENIAL.NSEC_NAME_ERROR, ['example.'])
    expect(proof.inception).toBe(NOW - 100)
  })

  test('deep below the closest encloser', async () => {
    const owners = ['example.', 'm.example.']
    await expectProof('1.2.3.n.example.', await bag(...chain), DENIAL.NSEC_NAME_ERROR, owners)
  })

  test('an encloser that is an empty non-terminal', async () => {
    // *.ent.example. and b.ent.example. both lie before x.ent.example.
    const owners = ['dname.example.']
    await expectProof('b.ent.example.', await bag(...chain), DENIAL.NSEC_NAME_ERROR, owners)
  })

  test('the last record goes round to the apex', async () => {
    const proof = await expectProof('zz.example.', await bag(...chain), DENIAL.NSEC_NAME_ERROR, [
      'example.',
      'z.example.',
    ])
    expect(proof.inception).toBe(NOW - 109)
  })

  test('a zone of one name', async () => {
    const one = await nsec('example.', 'example.', 'NS SOA RRSIG NSEC DNSKEY')
    await expectProof('q.example.', one, DENIAL.NSEC_NAME_ERROR, ['example.'])
    await expectProof('a.b.c.example.', one, DENIAL.NSEC_NAME_ERROR, ['example.'])
  })

  test('minimally covering records (RFC 4470)', async () => {
    const lies = await bag(
      nsec('fon~.example.', 'foo!.example.', 'RRSIG NSEC'),
      nsec(')~.example.', '+.example.', 'RRSIG NSEC'),
    )
    const owners = ['fon~.example.', '\\)~.example.']
    await expectProof('foo.example.', lies, DENIAL.NSEC_NAME_ERROR, owners)
  })

  test('a record that does both is enough, whatever else would do', async () => {
    const also = nsec('!.example.', '+.example.', 'A RRSIG NSEC')
    const both = await bag(chain[0]!, also)
    await expectProof('0.example.', both, DENIAL.NSEC_NAME_ERROR, ['example.'])
    const wild = await bag(chain[7]!, nsec('!.w.example.', '+.w.example.', 'A RRSIG NSEC'))
    await expectProof('q.w.example.', wild, DENIAL.NSEC_NAME_ERROR, [
      '!.w.example.',
      '*.w.example.',
    ])
  })

  test('the wildcard itself may be the name in question', async () => {
    await expectProof('*.example.', await bag(...chain), DENIAL.NSEC_NAME_ERROR, ['example.'])
  })

  test('trap: nothing about the wildcard', async () => {
    await expectRefused('n.example.', await chain[6]!)
  })

  test('trap: only the wildcard is covered', async () => {
    await expectRefused('n.example.', await chain[0]!)
  })

  test('trap: covering is strict at both ends', async () => {
    const wildcard = chain[0]!
    await expectRefused('m.example.', await bag(wildcard, chain[5]!))
    await expectRefused('q.example.', await bag(wildcard, nsec('p.example.', 'q.example.', 'A')))
    // Its own record is a match, never a cover.
    await expectRefused('a.example.', await bag(wildcard, chain[1]!))
  })

  test("trap: the covering record is the ancestor's delegation", async () => {
    await expectRefused('q.b.example.', await bag(...chain))
    await expectRefused('q.a.example.', await bag(...chain))
    // The same record does deny names that are not below it.
    await expectProof('bb.example.', await bag(...chain), DENIAL.NSEC_NAME_ERROR, [
      'b.example.',
      'example.',
    ])
  })

  test('trap: the covering record has DNAME', async () => {
    await expectRefused('q.dname.example.', await bag(...chain))
    await expectProof('dz.example.', await bag(...chain), DENIAL.NSEC_NAME_ERROR, [
      'dname.example.',
      'example.',
    ])
  })

  test('trap: the record that covers the wildcard has DNAME, or is a delegation', async () => {
    const over = nsec('c.d.example.', 'z.d.example.', 'A RRSIG NSEC')
    const good = nsec('d.example.', 'c.d.example.', 'A RRSIG NSEC')
    await expectProof('q.d.example.', await bag(over, good), DENIAL.NSEC_NAME_ERROR, [
      'c.d.example.',
      'd.example.',
    ])
    for (const types of ['DNAME', 'NS', 'NS DS']) {
      const bad = nsec('d.example.', 'c.d.example.', `${types} RRSIG NSEC`)
      await expectRefused('q.d.example.', await bag(over, bad))
    }
    const apex = nsec('d.example.', 'c.d.example.', 'NS SOA RRSIG NSEC')
    await expectProof('q.d.example.', await bag(over, apex), DENIAL.NSEC_NAME_ERROR, [
      'c.d.example.',
      'd.example.',
    ])
  })

  test('trap: a last record whose next name is not the apex', async () => {
    const last = nsec('z.example.', 'b.example.', 'A RRSIG NSEC')
    await expectRefused('zz.example.', await bag(chain[0]!, last))
  })

  test('trap: a next name outside the zone', async () => {
    const out = nsec('m.example.', 'www.example.org.', 'A RRSIG NSEC')
    await expectRefused('n.example.', await bag(chain[0]!, out))
  })
})

describe('kind 3, empty non-terminal', () => {
  test('the next name lies below the name', async () => {
    const proof = await expectProof(
      'ent.example.',
      await bag(...chain),
      DENIAL.NSEC_EMPTY_NON_TERMINAL,
      ['dname.example.'],
    )
    expect(proof.inception).toBe(NOW - 104)
    await expectProof('w.example.', await bag(...chain), DENIAL.NSEC_EMPTY_NON_TERMINAL, [
      'm.example.',
    ])
  })

  test('trap: the next name only looks as if it did', async () => {
    const near = nsec('m.example.', 'x.went.example.', 'A RRSIG NSEC')
    await expectRefused('ent.example.', await near)
  })

  test('trap: the record is a delegation or DNAME above the name', async () => {
    for (const types of ['NS', 'NS DS', 'DNAME']) {
      const cut = nsec('d.example.', 'x.e.d.example.', `${types} RRSIG NSEC`)
      await expectRefused('e.d.example.', await cut)
    }
    const plain = await nsec('d.example.', 'x.e.d.example.', 'A RRSIG NSEC')
    await expectProof('e.d.example.', plain, DENIAL.NSEC_EMPTY_NON_TERMINAL, ['d.example.'])
  })
})

describe('kind 7, wildcard no-data', () => {
  test('one record that covers the name and is the wildcard', async () => {
    const proof = await expectProof('q.w.example.', await bag(...chain), DENIAL.NSEC_WILDCARD, [
      '*.w.example.',
    ])
    expect(proof.inception).toBe(NOW - 107)
  })

  test('two records; the one that covers the name decides', async () => {
    const proof = await expectProof('zz.w.example.', await bag(...chain), DENIAL.NSEC_WILDCARD, [
      '*.w.example.',
      'y.w.example.',
    ])
    expect(proof.inception).toBe(NOW - 108)
  })

  test('a wildcard that is an empty non-terminal', async () => {
    const records = await bag(
      nsec('u.example.', 'x.*.v.example.', 'A RRSIG NSEC'),
      nsec('x.*.v.example.', 'z.example.', 'A RRSIG NSEC'),
    )
    await expectProof('q.v.example.', records, DENIAL.NSEC_WILDCARD, [
      'u.example.',
      'x.*.v.example.',
    ])
  })

  test('trap: the wildcard has DS, CNAME or SOA', async () => {
    for (const types of ['NS DS', 'CNAME', 'NS SOA']) {
      const wildcard = nsec('*.w.example.', 'y.w.example.', `${types} RRSIG NSEC`)
      await expectRefused('q.w.example.', await wildcard)
      await expectRefused('zz.w.example.', await bag(wildcard, chain[8]!))
    }
  })

  test('trap: the wildcard of another encloser', async () => {
    const other = nsec('*.example.', 'a.example.', 'TXT RRSIG NSEC')
    await expectRefused('zz.w.example.', await bag(other, chain[8]!))
  })

  test('trap: the name itself is not covered', async () => {
    await expectRefused('zz.w.example.', await chain[7]!)
  })
})

describe('signatures', () => {
  test('a record made from a wildcard speaks for no name', async () => {
    const records = [record('*.example.', 'NSEC', 'a.example. A RRSIG NSEC')]
    const made = (await signed(records, KEY, ZONE)).map((r) => ({
      ...r,
      owner: nameFromText('foo.example.'),
    }))
    await expectRefused('foo.example.', made, 'wildcard-expanded')
  })

  test('what does not verify is not there, and is the reason given', async () => {
    const late: SignOptions = { inception: NOW - 200, expiration: NOW - 100 }
    const early: SignOptions = { inception: NOW + 100, expiration: NOW + 200 }
    await expectRefused('b.example.', await nsec('b.example.', 'c.example.', 'NS', late), 'expired')
    await expectRefused(
      'b.example.',
      await nsec('b.example.', 'c.example.', 'NS', early),
      'not-yet-valid',
    )
    const [rr, sig] = await nsec('b.example.', 'c.example.', 'NS')
    const damaged = { ...sig!, rdata: sig!.rdata.with(-1, sig!.rdata.at(-1)! ^ 1) }
    await expectRefused('b.example.', [rr!, damaged], 'bad-signature')
    await expectRefused('b.example.', [rr!], 'no-signature')
    const stranger = ed25519Key({ seed: 2 })
    const foreign = await signed([rr!], stranger, ZONE)
    await expectRefused('b.example.', foreign, 'no-matching-key')
    // A good record beside the damaged one decides.
    const good = await bag(chain[0]!, chain[6]!)
    await expectProof('n.example.', good, DENIAL.NSEC_NAME_ERROR, ['example.', 'm.example.'])
    const proof = await proveNoDs({ ...about('n.example.'), records: [rr!, damaged, ...good] })
    expect(proof.records).toHaveLength(2)
  })

  test('of several valid signatures the newest decides', async () => {
    const [rr] = await nsec('b.example.', 'c.example.', 'NS')
    const set = rrset(rr!.owner, rr!.type, [rr!.rdata])
    const records = [rr!]
    for (const inception of [NOW - 50, NOW - 10, NOW + 10, NOW - 30]) {
      const rdata = await signRRset(set, KEY, ZONE, { inception })
      records.push({ ...rr!, type: TYPE.RRSIG, rdata })
    }
    const proof = await expectProof('b.example.', records, DENIAL.NSEC_MATCH, ['b.example.'])
    expect(proof.inception).toBe(NOW - 10)
  })

  test('the next name is signed with the case it has (RFC 6840 §5.1)', async () => {
    const plain = record('b.example.', 'NSEC', 'c.example. NS RRSIG NSEC')
    const upper = { ...plain, rdata: plain.rdata.with(1, 0x43) }
    const records = await signed([upper], KEY, ZONE)
    const proof = await expectProof('b.example.', records, DENIAL.NSEC_MATCH, ['b.example.'])
    expect(proof.records[0]!.rdata).toEqual(upper.rdata)
    await expectRefused('b.example.', [plain, records[1]!], 'bad-signature')
    await expectRefused('c.example.', records)
  })

  test('two NSEC at one name are no record of the chain', async () => {
    const two = [
      record('b.example.', 'NSEC', 'c.example. NS RRSIG NSEC'),
      record('b.example.', 'NSEC', 'd.example. NS RRSIG NSEC'),
    ]
    await expectRefused('b.example.', await signed(two, KEY, ZONE))
    const twice = [two[0]!, ...(await signed([two[0]!], KEY, ZONE))]
    await expectProof('b.example.', twice, DENIAL.NSEC_MATCH, ['b.example.'])
  })

  /** So many signed records that say that nothing is between them and `next`. */
  const gaps = (label: string, count: number): Promise<RR[]> => {
    const each = Array.from({ length: count }, (_, i) => {
      return nsec(`${label}${i}.example.`, 'z.example.', 'NS RRSIG NSEC')
    })
    return bag(...each)
  }

  test('no proof hides behind others of the zone, unsigned ones, or what is no record', async () => {
    const good = await bag(chain[0]!, chain[6]!)
    const unsigned = (await gaps('m', 100)).filter(({ type }) => type === TYPE.NSEC)
    const broken = { ...unsigned[0]!, owner: nameFromText('broken.example.') }
    const padding = [
      ...(await gaps('x', 100)),
      ...unsigned,
      ...(await signed([{ ...broken, rdata: Uint8Array.of(63) }], KEY, ZONE)),
    ]
    // Of the wildcard that the apex covers a name far below needs the proof, too.
    for (const owner of ['n.example.', 'very.far.below.n.example.']) {
      const proof = await proveNoDs({ ...about(owner), records: good })
      expect(proof).toMatchObject({ kind: DENIAL.NSEC_NAME_ERROR, records: { length: 2 } })
      expect(await proveNoDs({ ...about(owner), records: [...padding, ...good] })).toEqual(proof)
      await expectRefused(owner, padding)
    }
  })

  test('of a bag of too many records that cover the name none is tried', async () => {
    await expectRefused('b.example.', await gaps('a', 16))
    await expectRefused('b.example.', await gaps('a', 17), 'too-many-tries')
  })

  test('an empty bag, other types and other classes prove nothing', async () => {
    const match = await chain[2]!
    await expectRefused('b.example.', [])
    await expectRefused('b.example.', [record('b.example.', 'A', '192.0.2.1')])
    await expectRefused(
      'b.example.',
      match.map((r) => ({ ...r, class: 3 })),
    )
  })
})
