/** One proof of each kind, as an entry stores it: nothing in it can be changed and still be accepted. */
import { describe, expect, test } from 'vitest'
import { concat, equal } from '@dslog/tlog/bytes'
import { checkNoDs, DENIAL, proveNoDs, type DenialKind, type DenialRecord } from '../src/denial.ts'
import { DnssecError } from '../src/error.ts'
import { nameFromText, nameFromWire, type Name } from '../src/name.ts'
import type { RR } from '../src/records.ts'
import { BACKENDS } from './backends.ts'
import { about, KEY, ZONE } from './deny.ts'
import { chain } from './nsec3chain.ts'
import { computingOnce } from './once.ts'
import { DAY, ed25519Key, record, signed } from './sign.ts'

const nsec = async (...lines: [string, string][]): Promise<RR[]> =>
  (
    await Promise.all(
      lines.map(([owner, rdata]) => signed([record(owner, 'NSEC', rdata)], KEY, ZONE)),
    )
  ).flat()

const names = { 'example.': 'NS SOA', 'a.example.': 'NS', '*.w.example.': 'TXT', 'w.example.': '' }

const proofs: [DenialKind, string, Promise<RR[]>][] = [
  [DENIAL.NSEC_MATCH, 'a.example.', nsec(['a.example.', 'b.example. NS RRSIG NSEC'])],
  [
    DENIAL.NSEC_NAME_ERROR,
    'n.example.',
    nsec(['example.', 'a.example. NS SOA RRSIG NSEC'], ['m.example.', 'o.example. A RRSIG NSEC']),
  ],
  [
    DENIAL.NSEC_EMPTY_NON_TERMINAL,
    'ent.example.',
    nsec(['d.example.', 'x.ent.example. A RRSIG NSEC']),
  ],
  [DENIAL.NSEC3_MATCH, 'a.example.', chain(names, { salt: 'ab', iterations: 2 })],
  [DENIAL.NSEC3_OPT_OUT, 'q.example.', chain(names, { flags: 1 })],
  [DENIAL.NSEC3_NAME_ERROR, 'q.example.', chain(names)],
  [
    DENIAL.NSEC_WILDCARD,
    'zz.w.example.',
    nsec(['*.w.example.', 'y.w.example. TXT RRSIG NSEC'], ['y.w.example.', 'z.example. A NSEC']),
  ],
  [DENIAL.NSEC3_WILDCARD, 'q.w.example.', chain(names)],
]

/** Every byte with one bit flipped, letters also in case, and the whole cut or grown by one. */
function* mutations(bytes: Uint8Array): Generator<Uint8Array> {
  for (let i = 0; i < bytes.length; i++) {
    yield bytes.with(i, bytes[i]! ^ (1 << (i % 8)))
    if (bytes[i]! >= 0x61 && bytes[i]! <= 0x7a) yield bytes.with(i, bytes[i]! ^ 0x20)
  }
  yield bytes.subarray(0, -1)
  yield concat(bytes, Uint8Array.of(0))
}

/** The name that changed bytes still are, if they are one: nothing else gets out of a decoder. */
function nameOf(bytes: Uint8Array): Name | undefined {
  try {
    const name = nameFromWire(bytes)
    return equal(name, bytes) ? name : undefined
  } catch {
    return undefined
  }
}

describe.each(BACKENDS)('%s backend', (_, backend) => {
  test.each(proofs)('kind %i, of %s', async (kind, owner, making) => {
    const question = { ...about(owner), backend: computingOnce(backend) }
    const proof = await proveNoDs({ ...question, records: await making })
    expect(proof.kind).toBe(kind)
    const outcome = (records: readonly DenialRecord[], more: object = {}): Promise<unknown> =>
      checkNoDs({ ...question, kind, records, ...more }).catch((error: unknown) =>
        error instanceof DnssecError ? error.code : error,
      )
    expect(await outcome(proof.records)).toEqual(proof)

    const accepted: unknown[] = []
    let tried = 0
    for (const [i, record] of proof.records.entries()) {
      for (const field of ['owner', 'rdata', 'rrsig'] as const) {
        for (const bytes of mutations(record[field])) {
          const changed = field === 'owner' ? nameOf(bytes) : bytes
          if (changed === undefined) continue
          const answer = await outcome(proof.records.with(i, { ...record, [field]: changed }))
          if (typeof answer !== 'string') accepted.push([field, bytes, answer])
          tried += 1
        }
      }
      for (const type of [0, 1, 43, 46, record.type === 47 ? 50 : 47]) {
        const answer = await outcome(proof.records.with(i, { ...record, type }))
        if (typeof answer !== 'string') accepted.push([type, answer])
      }
    }
    expect(accepted).toEqual([])
    expect(tried).toBeGreaterThan(100)

    // Nor does it speak about another name, zone or time, or verify with other keys.
    expect(await outcome(proof.records, { owner: nameFromText('deep.below.other.') })).toBe(
      'bad-owner',
    )
    expect(await outcome(proof.records, { zone: nameFromText('.') })).toBe('no-signature')
    expect(await outcome(proof.records, { at: question.at + DAY })).toBe('expired')
    expect(await outcome(proof.records, { keys: [ed25519Key({ seed: 2 })] })).toBe(
      'no-matching-key',
    )
    expect(await outcome([])).toBe('bad-proof')
    expect(await outcome([...proof.records, ...proof.records, ...proof.records])).toBe('bad-proof')
  })
})
