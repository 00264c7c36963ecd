/** Absence by NSEC3: every kind of proof in whole chains, and beside each the traps. */
import { describe, expect, test } from 'vitest'
import { denialBlocks, checkNoDs, DENIAL, proveNoDs } from '../src/denial.ts'
import { compareCanonical, nameFromText, nameToText } from '../src/name.ts'
import { rdataToText } from '../src/rdata.ts'
import { TYPE, type RR } from '../src/records.ts'
import { about, expectProof, expectRefused, KEY, ZONE } from './deny.ts'
import { chain, coverOf, link, owner3, type Options } from './nsec3chain.ts'
import { NOW, record, signed } from './sign.ts'

/** Without the record whose owner hashes `name`. */
function without(bag: readonly RR[], name: string, options: Options = {}): RR[] {
  return bag.filter((r) => nameToText(r.owner) !== owner3(name, options))
}

const ZONE_NAMES = {
  'example.': 'NS SOA RRSIG DNSKEY NSEC3PARAM',
  'signed.example.': 'NS DS RRSIG',
  'unsigned.example.': 'NS',
  'cname.example.': 'CNAME RRSIG',
  'dname.example.': 'DNAME RRSIG',
  'host.example.': 'A RRSIG',
  'ent.example.': '',
  'x.ent.example.': 'A RRSIG',
  'w.example.': '',
  '*.w.example.': 'TXT RRSIG',
  '*.dw.example.': 'NS DS RRSIG',
  'dw.example.': '',
}

describe('hashes', () => {
  test('those of RFC 5155 appendix A', () => {
    const rfc = { salt: 'aabbccdd', iterations: 12 }
    const hashes = {
      'example.': '0p9mhaveqvm6t7vbl5lop2u3t2rp3tom',
      'a.example.': '35mthgpgcu1qg68fab165klnsnk3dpvl',
      'ai.example.': 'gjeqe526plbf1g8mklp59enfd789njgi',
      'ns1.example.': '2t7b4g4vsa5smi47k61mv5bv1a22bojr',
      'ns2.example.': 'q04jkcevqvmu85r014c7dkba38o0ji5r',
      'w.example.': 'k8udemvp1j2f7eg6jebps17vp3n8i58h',
      '*.w.example.': 'r53bq7cc2uvmubfu5ocmm6pers9tk9en',
      'x.w.example.': 'b4um86eghhds6nea196smvmlo4ors995',
      'y.w.example.': 'ji6neoaepv8b5o6k4ev33abha8ht9fgc',
      'x.y.w.example.': '2vptu5timamqttgl4luu9kg21e0aor3s',
      'xx.example.': 't644ebqk9bibcna874givr6joj62mlhv',
    }
    for (const [name, hash] of Object.entries(hashes)) {
      expect(owner3(name, rfc)).toBe(`${hash}.example.`)
    }
  })
})

describe('kind 4, a match', () => {
  test('names that exist without a DS, empty non-terminals too', async () => {
    const bag = await chain(ZONE_NAMES)
    for (const name of ['unsigned', 'dname', 'host', 'ent', 'x.ent', 'w', '*.w']) {
      const owner = `${name}.example.`
      const proof = await expectProof(owner, bag, DENIAL.NSEC3_MATCH, [owner3(owner)])
      expect(proof.inception).toBe(NOW - 100 - Object.keys(ZONE_NAMES).indexOf(owner))
    }
  })

  test('trap: the bitmap has DS, CNAME or SOA', async () => {
    const bag = await chain({ ...ZONE_NAMES, 'child.example.': 'NS SOA RRSIG DNSKEY' })
    for (const name of ['signed', 'cname', 'child', '*.dw']) {
      await expectRefused(`${name}.example.`, bag)
    }
  })

  test('trap: the owner is the zone itself or not in it', async () => {
    const bag = await chain(ZONE_NAMES)
    await expectRefused('example.', bag, 'bad-owner')
    await expectRefused('unsigned.example.org.', bag, 'bad-owner')
  })
})

describe('kind 5, opt-out', () => {
  const optOut = { flags: 1 }

  test('closest encloser, and an opt-out record over the next closer name', async () => {
    const bag = await chain(ZONE_NAMES, optOut)
    const cover = coverOf(bag, 'q.example.')
    const proof = await expectProof('q.example.', bag, DENIAL.NSEC3_OPT_OUT, [
      ...new Set([owner3('example.'), cover]),
    ])
    const deciding = Object.keys(ZONE_NAMES).findIndex((name) => owner3(name) === cover)
    expect(proof).toMatchObject({ inception: NOW - 100 - deciding, insecure: false })
    await expectProof('1.2.q.example.', bag, DENIAL.NSEC3_OPT_OUT, [
      ...new Set([owner3('example.'), cover]),
    ])
  })

  test('one record for both', async () => {
    const bag = await chain({ 'example.': 'NS SOA RRSIG DNSKEY NSEC3PARAM' }, optOut)
    await expectProof('q.example.', bag, DENIAL.NSEC3_OPT_OUT, [owner3('example.')])
  })

  test('trap: the encloser alone (NSD 4.6, for an empty non-terminal)', async () => {
    const bag = await chain(ZONE_NAMES, optOut)
    const apex = bag.filter((r) => nameToText(r.owner) === owner3('example.'))
    expect(coverOf(bag, 'q.example.')).not.toBe(owner3('example.'))
    await expectRefused('q.example.', apex)
  })

  test('trap: the cover alone', async () => {
    await expectRefused('q.example.', without(await chain(ZONE_NAMES, optOut), 'example.'))
  })

  test('trap: the encloser is a delegation or has DNAME', async () => {
    const bag = await chain(ZONE_NAMES, optOut)
    for (const name of ['signed', 'unsigned', 'dname']) {
      await expectRefused(`q.${name}.example.`, bag)
    }
    const apex = await chain({ ...ZONE_NAMES, 'cut.example.': 'NS SOA' }, optOut)
    const cover = coverOf(apex, 'q.cut.example.')
    await expectProof('q.cut.example.', apex, DENIAL.NSEC3_OPT_OUT, [
      ...new Set([owner3('cut.example.'), cover]),
    ])
  })
})

describe('kind 6, name error', () => {
  test('encloser, next closer name and wildcard', async () => {
    const bag = await chain(ZONE_NAMES)
    const cover = coverOf(bag, 'q.example.')
    const wildcard = coverOf(bag, '*.example.')
    const proof = await expectProof('q.example.', bag, DENIAL.NSEC3_NAME_ERROR, [
      ...new Set([owner3('example.'), cover, wildcard]),
    ])
    const deciding = Object.keys(ZONE_NAMES).findIndex((name) => owner3(name) === cover)
    expect(proof.inception).toBe(NOW - 100 - deciding)
  })

  test('proofs of one, two and three records', async () => {
    const bag = await chain(ZONE_NAMES)
    const sizes = new Set<number>()
    for (let i = 0; i < 40; i++) {
      const owner = `n${i}.ent.example.`
      const owners = ['ent.example.', owner, '*.ent.example.'].map((name, j) =>
        j === 0 ? owner3(name) : coverOf(bag, name),
      )
      const distinct = [...new Set(owners)]
      await expectProof(owner, bag, DENIAL.NSEC3_NAME_ERROR, distinct)
      sizes.add(distinct.length)
    }
    const one = await chain({ 'example.': 'NS SOA RRSIG DNSKEY NSEC3PARAM' })
    await expectProof('q.example.', one, DENIAL.NSEC3_NAME_ERROR, [owner3('example.')])
    expect(sizes).toEqual(new Set([2, 3]))
  })

  test('a record that does more than one thing is enough, whatever else would do', async () => {
    const apex = owner3('example.').slice(0, 32)
    const low = '0'.repeat(32)
    const high = 'v'.repeat(32)
    const also = link(low, high, 'A RRSIG')
    for (const flags of [0, 1]) {
      const whole = link(apex, apex, 'NS SOA RRSIG', { flags })
      const kind = flags === 1 ? DENIAL.NSEC3_OPT_OUT : DENIAL.NSEC3_NAME_ERROR
      const bag = [...(await also), ...(await whole)]
      await expectProof('q.example.', bag, kind, [`${apex}.example.`])
    }
  })

  test('trap: one of the three is missing', async () => {
    const bag = await chain(ZONE_NAMES)
    const { records } = await proveNoDs({ ...about('q.example.'), records: bag })
    for (const { owner } of records) {
      const fewer = bag.filter((r) => compareCanonical(r.owner, owner) !== 0)
      await expectRefused('q.example.', fewer)
    }
  })

  test('trap: covering is strict at both ends', async () => {
    // A record that begins or ends exactly at the hash says that the name exists.
    const hash = owner3('q.example.').slice(0, 32)
    const low = '0'.repeat(32)
    const high = 'v'.repeat(32)
    const names = { 'example.': 'NS SOA RRSIG DNSKEY NSEC3PARAM' }
    const apex = (await chain(names)).map((r) => r.owner)[0]!
    const next = owner3('host.example.').slice(0, 32)
    const encloser = link(nameToText(apex).slice(0, 32), next, 'NS SOA RRSIG')
    const covers = async (from: string, to: string): Promise<RR[]> => [
      ...(await encloser),
      ...(await link(from, to, 'A RRSIG', { flags: 1 })),
    ]
    await expectProof('q.example.', await covers(low, high), DENIAL.NSEC3_OPT_OUT, [
      nameToText(apex),
      `${low}.example.`,
    ])
    await expectRefused('q.example.', await covers(low, hash))
    await expectRefused('q.example.', await covers(high, hash))
    // Beginning at the hash is a match: the name exists, here without a DS.
    await expectProof('q.example.', await covers(hash, high), DENIAL.NSEC3_MATCH, [
      `${hash}.example.`,
    ])
    // A last record goes round, over both ends of the circle.
    await expectRefused('q.example.', await covers(high, low))
  })

  test('trap: the encloser is a delegation or has DNAME', async () => {
    const bag = await chain(ZONE_NAMES)
    for (const name of ['signed', 'unsigned', 'dname']) {
      await expectRefused(`q.${name}.example.`, bag)
    }
  })
})

describe('kind 8, wildcard no-data', () => {
  test('encloser, next closer name, and the wildcard itself', async () => {
    const bag = await chain(ZONE_NAMES)
    const cover = coverOf(bag, 'q.w.example.')
    const proof = await expectProof('q.w.example.', bag, DENIAL.NSEC3_WILDCARD, [
      ...new Set([owner3('w.example.'), owner3('*.w.example.'), cover]),
    ])
    const deciding = Object.keys(ZONE_NAMES).findIndex((name) => owner3(name) === cover)
    expect(proof.inception).toBe(NOW - 100 - deciding)
  })

  test('trap: the wildcard has DS, CNAME or SOA', async () => {
    await expectRefused('q.dw.example.', await chain(ZONE_NAMES))
    for (const types of ['CNAME RRSIG', 'NS SOA']) {
      const bag = await chain({ ...ZONE_NAMES, '*.w.example.': types })
      await expectRefused('q.w.example.', bag)
    }
  })

  test('trap: the wildcard of another encloser, or none', async () => {
    const bag = await chain({ ...ZONE_NAMES, '*.example.': 'A RRSIG' })
    await expectRefused('q.w.example.', without(bag, '*.w.example.'))
  })
})

describe('parameters', () => {
  test('salt and iterations are those of the records', async () => {
    for (const options of [{ salt: 'aabbccdd', iterations: 1 }, { salt: 'ff'.repeat(255) }]) {
      const bag = await chain(ZONE_NAMES, options)
      const owner = owner3('unsigned.example.', options)
      await expectProof('unsigned.example.', bag, DENIAL.NSEC3_MATCH, [owner])
    }
  })

  test('over 100 iterations is insecure, over 500 unverifiable', async () => {
    const names = { 'example.': 'NS SOA', 'unsigned.example.': 'NS' }
    for (const [iterations, insecure] of [
      [100, false],
      [101, true],
      [500, true],
    ] as const) {
      const bag = await chain(names, { iterations })
      const owner = owner3('unsigned.example.', { iterations })
      const proof = await expectProof('unsigned.example.', bag, DENIAL.NSEC3_MATCH, [owner])
      expect(proof.insecure).toBe(insecure)
    }
    const bag = await chain(names, { iterations: 501 })
    await expectRefused('unsigned.example.', bag, 'too-many-iterations')
  })

  test('trap: records of two salts or two iteration counts make no proof together', async () => {
    const old = await chain(ZONE_NAMES, { salt: 'aa' })
    for (const options of [{ salt: 'bb' }, { salt: 'aa', iterations: 1 }]) {
      const other = await chain(ZONE_NAMES, options)
      const { kind, records } = await proveNoDs({ ...about('q.example.'), records: old })
      for (const { owner } of records) {
        const mixed = old
          .filter((r) => compareCanonical(r.owner, owner) !== 0)
          .concat(
            other.filter((r) => nameToText(r.owner) === coverOf(other, 'q.example.', options)),
          )
        await expectRefused('q.example.', mixed)
      }
      // A whole proof in the one chain is not disturbed by records of the other.
      const needed = old.filter((r) =>
        records.some((n) => compareCanonical(n.owner, r.owner) === 0),
      )
      const stray = other.filter((r) => nameToText(r.owner) === owner3('host.example.', options))
      const proof = await proveNoDs({ ...about('q.example.'), records: [...stray, ...needed] })
      expect(proof).toMatchObject({ kind, records })
    }
  })

  test('trap: unknown flags, unknown hash algorithms and odd hashes are ignored', async () => {
    const owner = 'unsigned.example.'
    for (const options of [{ flags: 2 }, { flags: 129 }, { algorithm: 2 }, { algorithm: 0 }]) {
      await expectRefused(owner, await chain({ 'example.': 'NS SOA', [owner]: 'NS' }, options))
    }
    const hash = owner3(owner).slice(0, 32)
    await expectProof(owner, await link(hash, 'v'.repeat(32), 'NS'), DENIAL.NSEC3_MATCH, [
      `${hash}.example.`,
    ])
    await expectRefused(owner, await link(hash, 'v'.repeat(24), 'NS'))
    await expectRefused(owner, await link(`${hash}.sub`, 'v'.repeat(32), 'NS'))
    await expectRefused(owner, await link(hash.slice(0, 31), 'v'.repeat(32), 'NS'))
  })

  test('a record made from a wildcard speaks for no name', async () => {
    const hash = owner3('unsigned.example.')
    const records = [record('*.example.', 'NSEC3', `1 0 0 - ${'v'.repeat(32)} NS`)]
    const made = await signed(records, KEY, ZONE)
    await expectRefused(
      'unsigned.example.',
      made.map((r) => ({ ...r, owner: nameFromText(hash) })),
      'wildcard-expanded',
    )
  })

  test('no proof hides behind other records of its chain, or of three more', async () => {
    const names = Object.fromEntries(
      Array.from({ length: 60 }, (_, i) => [`n${i}.example.`, 'NS DS RRSIG']),
    )
    const zone = { ...ZONE_NAMES, ...names }
    const whole = await chain(zone)
    const others = await Promise.all(['aa', 'bb', 'cc'].map((salt) => chain(names, { salt })))
    for (const owner of ['unsigned.example.', 'q.example.']) {
      const proof = await proveNoDs({ ...about(owner), records: [...others.flat(), ...whole] })
      const needed = whole.filter((r) =>
        proof.records.some((n) => compareCanonical(n.owner, r.owner) === 0),
      )
      expect(await proveNoDs({ ...about(owner), records: needed })).toEqual(proof)
    }
    const fifth = await chain(names, { salt: 'dd' })
    const many = [...others.flat(), ...whole, ...fifth]
    await expectRefused('q.example.', many, 'too-many-tries')
  })

  test('nor behind chains that are slow to hash; for a name far below they are not looked through', async () => {
    // Each covers next to nothing.
    const narrow = await Promise.all(
      Array.from({ length: 20 }, (_, i) => {
        const from = `${'0123456789abcdefghij'.charAt(i)}${'0'.repeat(31)}`
        const salt = 'aa'.repeat(254) + ['01', '02', '03'][i % 3]!
        return link(from, from.replace(/0$/, '1'), 'NS', { iterations: 500, salt })
      }),
    )
    const records = [...narrow.flat(), ...(await chain(ZONE_NAMES))]
    const { kind } = await proveNoDs({ ...about('q.example.'), records })
    const alone = await proveNoDs({ ...about('q.example.'), records: await chain(ZONE_NAMES) })
    expect(kind).toBe(alone.kind)
    const deep = `${'a.'.repeat(120)}example.`
    await expectRefused(deep, narrow.flat(), 'too-many-tries')
    // Also of so few that all signatures are verified.
    await expectRefused(deep, narrow.slice(0, 12).flat(), 'too-many-tries')
  })

  test('what hashing takes can be told beforehand', async () => {
    const usual = await chain(ZONE_NAMES)
    const names = usual.filter(({ type }) => type === TYPE.NSEC3).length
    // A name and a wildcard for each label but the root, and the name itself: one block each, as there is no salt.
    expect(denialBlocks(nameFromText('q.example.'), usual)).toBe(names * 5)
    const slow = await link('0'.repeat(32), 'v'.repeat(32), 'NS', { iterations: 500 })
    expect(denialBlocks(nameFromText('q.example.'), slow)).toBe(501 * 5)
    const deep = nameFromText(`${'a.'.repeat(120)}example.`)
    expect(denialBlocks(deep, slow)).toBe(65_536)
    const refused = await link('0'.repeat(32), 'v'.repeat(32), 'NS', { iterations: 501 })
    expect(denialBlocks(deep, refused)).toBe(0)
  })

  test('NSEC before NSEC3, and never both in one proof', async () => {
    const bag = await chain(ZONE_NAMES)
    const nsec = await signed([record('unsigned.example.', 'NSEC', 'w.example. NS')], KEY, ZONE)
    const both = [...bag, ...nsec]
    await expectProof('unsigned.example.', both, DENIAL.NSEC_MATCH, ['unsigned.example.'])
    const three = await proveNoDs({ ...about('unsigned.example.'), records: bag })
    const one = await proveNoDs({ ...about('unsigned.example.'), records: nsec })
    const records = [...three.records, ...one.records].sort((a, b) => a.owner[0]! - b.owner[0]!)
    for (const kind of [DENIAL.NSEC_MATCH, DENIAL.NSEC3_MATCH]) {
      await expect(
        checkNoDs({ ...about('unsigned.example.'), kind, records }),
      ).rejects.toMatchObject({ code: 'bad-proof' })
    }
  })

  test('the records read as they were written', async () => {
    const [rr] = await chain(ZONE_NAMES, { salt: 'ab', iterations: 3, flags: 1 })
    expect(rdataToText(TYPE.NSEC3, rr!.rdata)).toMatch(/^1 1 3 AB [0-9A-V]{32}/)
  })
})
