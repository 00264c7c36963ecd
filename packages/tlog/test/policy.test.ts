import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { concat, utf8 } from '../src/bytes.ts'
import { formatCheckpoint } from '../src/checkpoint.ts'
import { signerOf } from '../src/cosignature.ts'
import { EMPTY_ROOT, sha256 } from '../src/hash.ts'
import { KEY_TYPE, formatVkey } from '../src/key.ts'
import type { SignerKey } from '../src/key.ts'
import { parseNote, signNote } from '../src/note.ts'
import {
  MAX_CLOCK_SKEW_S,
  MAX_POLICY_BYTES,
  checkPolicy,
  formatPolicy,
  isQuorum,
  parsePolicy,
  policyOfLog,
} from '../src/policy.ts'
import { codeOf } from './codes.ts'
import { LOG_KEY, LOG_ORIGIN, LOG_PQ_KEY, NOW, WITNESS_KEYS, testKey } from './keys.ts'
import { listFiles, present, readBytes, readJson } from './vectors.ts'

const [W0, W1, W2] = WITNESS_KEYS
const LOG = formatVkey(LOG_KEY)
const LOG_PQ = formatVkey(LOG_PQ_KEY)
const [V0, V1, V2] = WITNESS_KEYS.map(formatVkey) as [string, string, string]
const now = (): number => NOW

const WITNESSES = `witness w0 ${V0}\nwitness w1 ${V1}\nwitness w2 ${V2}\n`
const TWO_OF_THREE = `log ${LOG}\n${WITNESSES}group g 2 w0 w1 w2\nquorum g\n`

const TEXT = formatCheckpoint({
  origin: LOG_ORIGIN,
  size: 42,
  root: sha256(utf8('root')),
  extensions: [],
})

/** A checkpoint signed by these keys. */
function signed(...keys: SignerKey[]): string {
  return signNote(
    TEXT,
    keys.map((key) => signerOf(key, now)),
  )
}

/** Why a policy is refused. */
function reason(text: string | Uint8Array): string {
  try {
    parsePolicy(text)
  } catch (error) {
    expect(error).toMatchObject({ name: 'TlogError', code: 'bad-policy' })
    return String(error)
  }
  return 'accepted'
}

describe('reading', () => {
  test('all four kinds of line', () => {
    const policy = parsePolicy(`# who we trust
log ${LOG} https://log.example/ds
log ${LOG_PQ}

witness w0 ${V0} https://w0.example/submit
witness w1 ${V1}
\twitness  w2\t${V2}
group inner any w0 w1
  # nested
group outer all inner w2
quorum outer
`)
    expect(policy.logs.map(({ key, url }) => [key.name, key.type, url])).toEqual([
      [LOG_ORIGIN, KEY_TYPE.ed25519, 'https://log.example/ds'],
      [LOG_ORIGIN, KEY_TYPE.mldsa44, undefined],
    ])
    expect(policy.witnesses.map(({ name, key, url }) => [name, key.name, url])).toEqual([
      ['w0', 'w0.example', 'https://w0.example/submit'],
      ['w1', 'w1.example', undefined],
      ['w2', 'w2.example', undefined],
    ])
    expect(policy.groups).toEqual([
      { name: 'inner', threshold: 1, members: ['w0', 'w1'] },
      { name: 'outer', threshold: 2, members: ['inner', 'w2'] },
    ])
    expect(policy.quorum).toBe('outer')
  })

  test('the least there is', () => {
    const none = { logs: [], witnesses: [], groups: [], quorum: undefined }
    for (const text of [
      'quorum none\n',
      ' \t quorum\tnone \n\n',
      'quorum none',
      '#\nquorum none\n',
    ]) {
      expect(parsePolicy(text)).toEqual(none)
    }
  })

  test('definitions may come after the quorum if it does not need them', () => {
    expect(parsePolicy(`quorum none\nlog ${LOG}\n${WITNESSES}`).witnesses).toHaveLength(3)
  })

  test.each([
    ['', 'no quorum'],
    [`log ${LOG}\n`, 'no quorum'],
    ['quorum none\nquorum none\n', 'line 2: second quorum'],
    ['quorum\n', 'want: quorum'],
    ['quorum none none\n', 'want: quorum'],
    ['quorum none # comment\n', 'want: quorum'],
    ['quorum w0\n', 'w0 is not defined above'],
    [`quorum w0\n${WITNESSES}`, 'line 1: w0 is not defined above'],
    ['Quorum none\n', 'unknown keyword'],
    ['quorum none\r\n', 'octet 0d is not allowed'],
    ['quorum none\f\n', 'octet 0c is not allowed'],
    ['#\u007f\nquorum none\n', 'octet 7f is not allowed'],
    ['\0\nquorum none\n', 'octet 00 is not allowed'],
    ['\u00a0quorum none\n', 'unknown keyword'],
    ['\ufeffquorum none\n', 'unknown keyword'],
    ['log\nquorum none\n', 'want: log'],
    [`log ${LOG} url more\nquorum none\n`, 'want: log'],
    [`log ${V0}\nquorum none\n`, 'type 4 is not for logs'],
    [`log ${LOG.slice(0, -1)}\nquorum none\n`, 'does not decode'],
    [`log ${LOG}\nlog ${LOG}\nquorum none\n`, 'line 2: key is listed twice'],
    [`witness w0\nquorum none\n`, 'want: witness'],
    [`witness w0 ${V0} url more\nquorum none\n`, 'want: witness'],
    [`witness w0 ${LOG}\nquorum none\n`, 'type 1 is not for witnesses'],
    [`witness none ${V0}\nquorum none\n`, 'none cannot be defined'],
    [`witness w ${V0}\nwitness w ${V1}\nquorum none\n`, 'w is defined twice'],
    [`witness w ${V0}\nwitness v ${V0}\nquorum none\n`, 'key is listed twice'],
    [`${WITNESSES}group none any w0\nquorum none\n`, 'none cannot be defined'],
    [`${WITNESSES}group w0 any w1\nquorum none\n`, 'w0 is defined twice'],
    [`${WITNESSES}group g any w3\nquorum none\n`, 'w3 is not defined above'],
    [`${WITNESSES}group g any none\nquorum none\n`, 'none is not defined above'],
    [`${WITNESSES}group g any g\nquorum none\n`, 'g is not defined above'],
    [`${WITNESSES}group g any w0 w0\nquorum none\n`, 'w0 is a member twice'],
    [`${WITNESSES}group g any w0\ngroup h any w0\nquorum none\n`, 'w0 is a member twice'],
    [`${WITNESSES}group g any\nquorum none\n`, 'want: group'],
    [`${WITNESSES}group g 0 w0\nquorum none\n`, 'a threshold of'],
    [`${WITNESSES}group g 2 w0\nquorum none\n`, 'a threshold of'],
    [`${WITNESSES}group g -1 w0\nquorum none\n`, 'a threshold of'],
    [`${WITNESSES}group g 01 w0\nquorum none\n`, 'a threshold of'],
    [`${WITNESSES}group g +1 w0\nquorum none\n`, 'a threshold of'],
    [`${WITNESSES}group g ALL w0\nquorum none\n`, 'a threshold of'],
    ['\ud800\nquorum none\n', 'lone surrogate'],
  ])('%j is refused', (text, why) => {
    expect(reason(text)).toContain(why)
  })

  test('keys are the same if their public keys are, whatever their names and types', () => {
    const renamed = { ...testKey('w9.example', W0.type, 10) }
    expect(reason(`witness a ${V0}\nwitness b ${formatVkey(renamed)}\nquorum none\n`)).toContain(
      'listed twice',
    )
    const logAgain = testKey('log9.example', KEY_TYPE.ed25519, 1)
    expect(reason(`log ${LOG}\nlog ${formatVkey(logAgain)}\nquorum none\n`)).toContain('twice')
    const retyped = testKey('w0.example', KEY_TYPE.mldsa44, 10)
    expect(reason(`witness a ${V0}\nwitness b ${formatVkey(retyped)}\nquorum none\n`)).toBe(
      'accepted',
    )
  })

  test('a log’s key may witness under another name, not under the same', () => {
    const witness = testKey('elsewhere.example', KEY_TYPE.mldsa44, 2)
    expect(reason(`log ${LOG_PQ}\nwitness w ${formatVkey(witness)}\nquorum w\n`)).toBe('accepted')
    expect(reason(`log ${LOG_PQ}\nwitness w ${LOG_PQ}\nquorum w\n`)).toContain('same name and id')
  })

  test('thirty-two logs, witnesses and groups, nested one in the other', () => {
    const lines: string[] = []
    for (let i = 0; i < 32; i++) {
      lines.push(`log ${formatVkey(testKey(`log${i}`, KEY_TYPE.ed25519, i))}`)
      lines.push(`witness w${i} ${formatVkey(testKey(`w${i}`, KEY_TYPE.cosignature, 100 + i))}`)
      lines.push(`group g${i} all w${i}${i === 0 ? '' : ` g${i - 1}`}`)
    }
    const policy = parsePolicy(`${lines.join('\n')}\nquorum g31\n`)
    const names = policy.witnesses.map(({ name }) => name)
    expect(isQuorum(policy, new Set(names))).toBe(true)
    for (const missing of names) {
      expect(isQuorum(policy, new Set(names.filter((name) => name !== missing)))).toBe(false)
    }
  })

  test('limits', () => {
    const lines = Array.from({ length: 257 }, (_, i) => {
      return `group g${i} any ${i === 0 ? 'w0' : `g${i - 1}`}\n`
    })
    const head = `witness w0 ${V0}\n`
    expect(reason(`${head}${lines.slice(0, 256).join('')}quorum g255\n`)).toBe('accepted')
    expect(reason(`${head}${lines.join('')}quorum g256\n`)).toContain('too many')
    const comment = `quorum none\n#${'x'.repeat(MAX_POLICY_BYTES)}`
    expect(reason(comment)).toContain('bytes')
    expect(reason(comment.slice(0, MAX_POLICY_BYTES))).toBe('accepted')
  })

  test('anything else throws nothing but TlogError', () => {
    const word = fc.constantFrom(
      'log',
      'witness',
      'group',
      'quorum',
      'none',
      'any',
      '1',
      V0,
      LOG,
      'a',
    )
    const line = fc.array(word, { maxLength: 5 }).map((words) => words.join(' '))
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array(),
          fc.array(line).map((l) => l.join('\n')),
        ),
        (input) => {
          expect(['bad-policy', undefined]).toContain(codeOf(() => parsePolicy(input)))
        },
      ),
    )
  })
})

describe('names are octets', () => {
  const octets = (...parts: (string | number[])[]): Uint8Array =>
    concat(...parts.map((p) => (typeof p === 'string' ? utf8(p) : Uint8Array.from(p))))

  test('K is not the Kelvin sign, composed is not decomposed, and UTF-8 need not be', () => {
    const names = [utf8('K'), utf8('\u212a'), utf8('é'), utf8('e\u0301')]
    const raw = [[0xe9], [0xc3], [0xff], [0xed, 0xa0, 0x80], [0xf0, 0x9f], [0x80]].map((n) =>
      Uint8Array.from(n),
    )
    const all = [...names, ...raw]
    const lines = all.map((name, i) =>
      octets('witness ', [...name], ` ${formatVkey(testKey('w', KEY_TYPE.cosignature, i))}\n`),
    )
    const policy = parsePolicy(concat(...lines, octets('quorum ', [0xe9], '\n')))
    expect(new Set(policy.witnesses.map(({ name }) => name)).size).toBe(all.length)
    expect(policy.witnesses.slice(0, 4).map(({ name }) => name)).toEqual([
      'K',
      '\u212a',
      'é',
      'e\u0301',
    ])
    expect(policy.quorum).toBe('\udce9')
    expect(parsePolicy(formatPolicy(policy))).toEqual(policy)
    expect(formatPolicy(policy)).toEqual(concat(...lines, octets('quorum ', [0xe9], '\n')))
  })

  test('every octet that is allowed survives, and no other', () => {
    for (let octet = 0; octet < 256; octet++) {
      const file = octets('#', [octet], `\nwitness a`, [octet], `z ${V0}\nquorum none\n`)
      const allowed = octet >= 0x21 && octet !== 0x7f
      if (allowed) {
        const policy = parsePolicy(file)
        const line = octets('witness a', [octet], `z ${V0}\nquorum none\n`)
        expect(formatPolicy(policy)).toEqual(line)
      } else {
        expect(reason(file), `${octet}`).not.toBe('accepted')
      }
    }
  })

  test('a vkey in it must be UTF-8 all the same', () => {
    const file = octets('log a', [0xff], `${LOG.slice(1)}\nquorum none\n`)
    expect(reason(file)).not.toBe('accepted')
    const name = testKey('loğ.example', KEY_TYPE.ed25519, 30)
    expect(parsePolicy(`log ${formatVkey(name)}\nquorum none\n`).logs[0]?.key.name).toBe(name.name)
  })
})

describe('writing', () => {
  test('is the inverse of reading', () => {
    for (const text of [
      'quorum none\n',
      TWO_OF_THREE,
      `log ${LOG} https://log.example\n${WITNESSES}group a any w0 w1\ngroup b all a w2\nquorum b\n`,
    ]) {
      expect(new TextDecoder().decode(formatPolicy(parsePolicy(text)))).toBe(text)
    }
  })

  test('what no file can say is the caller’s bug', () => {
    const policy = parsePolicy(TWO_OF_THREE)
    const [witness] = policy.witnesses
    for (const wrong of [
      { quorum: 'nobody' },
      { quorum: 'none' },
      { witnesses: [{ ...witness!, name: 'a b' }] },
      { witnesses: [{ ...witness!, url: 'x\nquorum none' }] },
      { witnesses: [{ ...witness!, url: '' }] },
      { witnesses: [{ ...witness!, url: 'x\n#' }] },
      { witnesses: [{ ...witness!, name: '\ud800' }] },
      { groups: [{ name: 'g', threshold: 4, members: ['w0', 'w1', 'w2'] }] },
      { groups: [{ name: 'g', threshold: 0, members: [] }] },
      { logs: [policy.logs[0]!, policy.logs[0]!] },
    ]) {
      const made = { ...policy, ...wrong }
      // `quorum: 'none'` would be read as no quorum at all.
      expect(() => formatPolicy(made), `with other ${Object.keys(wrong).join()}`).toThrow(
        RangeError,
      )
    }
  })

  test('a log known by its keys alone', () => {
    const policy = policyOfLog(LOG, LOG_PQ)
    expect(policy.logs.map(({ key }) => formatVkey(key))).toEqual([LOG, LOG_PQ])
    expect(policy.quorum).toBeUndefined()
    expect(codeOf(() => policyOfLog(V0))).toBe('bad-policy')
    expect(codeOf(() => policyOfLog('x'))).toBe('bad-key')
    expect(codeOf(() => policyOfLog(LOG, LOG))).toBe('bad-policy')
  })
})

describe('quorum', () => {
  test('is what an independent reading of the definition says, for every set of witnesses', () => {
    const names = ['a', 'b', 'c', 'd', 'e', 'f']
    const witnesses = names.map((name, i) => {
      const key = testKey(name, KEY_TYPE.cosignature, 40 + i)
      return `witness ${name} ${formatVkey(key)}\n`
    })
    const text = `${witnesses.join('')}group x 2 a b c\ngroup y any d e\ngroup z 2 x y f\nquorum z\n`
    const policy = parsePolicy(text)
    for (let set = 0; set < 64; set++) {
      const has = (i: number): number => Math.floor(set / 2 ** i) % 2
      const x = has(0) + has(1) + has(2) >= 2 ? 1 : 0
      const y = has(3) + has(4) >= 1 ? 1 : 0
      const z = x + y + has(5) >= 2
      expect(isQuorum(policy, new Set(names.filter((_, i) => has(i) === 1)))).toBe(z)
    }
  })
})

describe('checking', () => {
  const policy = parsePolicy(TWO_OF_THREE)

  test('returns the checkpoint, the log and who cosigned when', () => {
    const note = signed(LOG_KEY, W2, W0)
    const trusted = checkPolicy(policy, note, { now: NOW })
    expect(trusted.checkpoint).toMatchObject({ origin: LOG_ORIGIN, size: 42 })
    expect(trusted.note).toBe(note)
    expect(trusted.logKey).toBe(policy.logs[0]!.key)
    expect(trusted.witnesses.map(({ name, timestamp }) => [name, timestamp])).toEqual([
      ['w0', NOW / 1000],
      ['w2', NOW / 1000],
    ])
  })

  test('too few cosignatures are no quorum, however often they are repeated', () => {
    const one = signed(LOG_KEY, W1)
    expect(codeOf(() => checkPolicy(policy, signed(LOG_KEY)))).toBe('quorum')
    expect(codeOf(() => checkPolicy(policy, one))).toBe('quorum')
    const later = signNote(TEXT, [signerOf(W1, () => NOW + 5000)], parseNote(one).signatures)
    expect(codeOf(() => checkPolicy(policy, later))).toBe('quorum')
    const enough = signNote(TEXT, [signerOf(W0, now)], parseNote(later).signatures)
    const { witnesses } = checkPolicy(policy, enough)
    expect(witnesses.map(({ timestamp }) => timestamp - NOW / 1000)).toEqual([0, 5])
  })

  test('without the log no quorum helps', () => {
    expect(codeOf(() => checkPolicy(policy, signed(W0, W1, W2)))).toBe('unknown-log')
    expect(codeOf(() => checkPolicy(policy, signed(LOG_PQ_KEY, W0, W1)))).toBe('unknown-log')
    expect(codeOf(() => checkPolicy(policy, signed(LOG_PQ_KEY)))).toBe('unverified')
    const noLogs = parsePolicy(`${WITNESSES}quorum w0\n`)
    expect(codeOf(() => checkPolicy(noLogs, signed(LOG_KEY, W0)))).toBe('unknown-log')
  })

  test('a listed log cannot sign for another origin', () => {
    const other = testKey('other.example', KEY_TYPE.ed25519, 31)
    const both = parsePolicy(`log ${formatVkey(other)}\nlog ${LOG}\nquorum none\n`)
    expect(codeOf(() => checkPolicy(both, signed(other)))).toBe('unknown-log')
    expect(checkPolicy(both, signed(LOG_KEY)).logKey.name).toBe(LOG_ORIGIN)
  })

  test('either of a log’s two keys will do', () => {
    const both = policyOfLog(LOG, LOG_PQ)
    expect(checkPolicy(both, signed(LOG_KEY)).logKey.type).toBe(KEY_TYPE.ed25519)
    expect(checkPolicy(both, signed(LOG_PQ_KEY)).logKey.type).toBe(KEY_TYPE.mldsa44)
    expect(checkPolicy(policyOfLog(LOG_PQ), signed(LOG_PQ_KEY, LOG_KEY)).logKey.type).toBe(6)
  })

  test('a bad cosignature of a listed witness refuses the note even beyond the quorum', () => {
    const elsewhere = signNote(TEXT.replace('42', '43'), [signerOf(W2, now)])
    const note = signNote(
      TEXT,
      [LOG_KEY, W0, W1].map((key) => signerOf(key, now)),
      parseNote(elsewhere).signatures,
    )
    expect(codeOf(() => checkPolicy(policy, note))).toBe('bad-signature')
  })

  test('a cosignature from the future does not count', () => {
    const note = (skew: number): string =>
      signNote(TEXT, [
        signerOf(LOG_KEY, now),
        signerOf(W0, now),
        signerOf(W1, () => NOW + skew * 1000),
      ])
    const check = (skew: number) => () => checkPolicy(policy, note(skew), { now: NOW })
    expect(codeOf(check(MAX_CLOCK_SKEW_S))).toBeUndefined()
    expect(codeOf(check(MAX_CLOCK_SKEW_S + 1))).toBe('quorum')
    expect(codeOf(() => checkPolicy(policy, note(10 ** 6)))).toBeUndefined()
  })

  test('the empty tree has one root', () => {
    const at0 = (root: typeof EMPTY_ROOT): string =>
      signNote(formatCheckpoint({ origin: LOG_ORIGIN, size: 0, root, extensions: [] }), [
        signerOf(LOG_KEY, now),
      ])
    expect(checkPolicy(policyOfLog(LOG), at0(EMPTY_ROOT)).checkpoint.size).toBe(0)
    const wrong = at0(sha256(utf8('x')))
    expect(codeOf(() => checkPolicy(policyOfLog(LOG), wrong))).toBe('bad-checkpoint')
  })

  test('without a quorum the log’s signature is enough', () => {
    expect(checkPolicy(policyOfLog(LOG), signed(LOG_KEY)).witnesses).toEqual([])
  })
})

describe.skipIf(!present)('vectors', () => {
  interface PolicyCase {
    desc: string
    policy: string
  }
  const { good, bad } = present
    ? readJson<{ good: PolicyCase[]; bad: PolicyCase[] }>('policy/policy-parse.json')
    : { good: [], bad: [] }

  test('policy/policy-parse.json: five good, three bad', () => {
    expect([good.length, bad.length]).toEqual([5, 3])
  })

  // transparency-dev's parser takes plain 0x01 keys for witnesses and one key under two names; C2SP does not.
  test.each(good)('good there, refused here for its 0x01 witness keys: $desc', ({ policy }) => {
    expect(reason(policy)).toMatch(/type 1 is not for witnesses|want: witness/)
  })

  test.each(bad)('bad there and here: $desc', ({ policy }) => {
    expect(reason(policy)).not.toBe('accepted')
  })

  const files = present ? listFiles('policy').filter((file) => !file.endsWith('.json')) : []
  const sigsum = files.filter((file) => file.endsWith('.builtin-policy'))
  const c2sp = files.filter((file) => !file.endsWith('.builtin-policy'))

  test('seven policies in use: four of Sigsum’s older form, three of C2SP’s', () => {
    expect([sigsum.length, c2sp.length]).toEqual([4, 3])
  })

  test.each(sigsum)('%s is refused for its hexadecimal keys', (file) => {
    expect(reason(readBytes(file))).toContain('a key is <name>+<id>+<base64>')
  })

  test.each(c2sp)('%s is read', (file) => {
    const policy = parsePolicy(readBytes(file))
    const [group] = policy.groups
    expect(policy.quorum).toBe(group!.name)
    expect(parsePolicy(formatPolicy(policy))).toEqual(policy)
    const names = policy.witnesses.map(({ name }) => name)
    expect(isQuorum(policy, new Set(names.slice(0, group!.threshold)))).toBe(true)
    expect(isQuorum(policy, new Set(names.slice(1, group!.threshold)))).toBe(false)
    expect(codeOf(() => checkPolicy(policy, signed(LOG_KEY)))).toBe('unverified')
  })
})
