/**
 * Trust policies, C2SP tlog-policy: which logs are accepted, and which witnesses must have cosigned a checkpoint.
 *
 *   # comment                                              fields are parted by spaces and tabs only
 *   log <vkey> [<url>]                                     any one listed log will do; the key's name is the origin
 *   witness <name> <vkey> [<url>]
 *   group <name> all|any|<k> <member>…                     members defined above, each in one group at most
 *   quorum <name>|none                                     exactly once
 *
 * Read strictly, octet by octet: 09, 0A, 20–7E, 80–FF. Names are opaque octets; what is not UTF-8 in them is held here
 * as lone surrogates U+DC80–U+DCFF, one an octet, so that different names stay different and a policy is written as it
 * was read. Logs sign with 0x01 or 0x06, witnesses with 0x04 or 0x06. Sigsum's older form (hexadecimal keys) is refused,
 * and so are 0x01 witness keys, comments behind a line, and keys listed twice under two names.
 */
import { equal, fromUtf8, parseDecimal, toHex, utf8 } from './bytes.ts'
import { openCheckpoint } from './checkpoint.ts'
import type { Checkpoint } from './checkpoint.ts'
import { timestampOf, verifierOf } from './cosignature.ts'
import { TlogError } from './error.ts'
import { EMPTY_ROOT } from './hash.ts'
import { KEY_TYPE, formatVkey, parseVkey } from './key.ts'
import type { KeyType, VerifierKey } from './key.ts'

/** A log that is accepted. */
export interface PolicyLog {
  /** Its name is the log's origin. */
  readonly key: VerifierKey
  readonly url?: string
}

/** A witness, by the name the policy gives it. */
export interface PolicyWitness {
  readonly name: string
  readonly key: VerifierKey
  /** Its submission prefix, as a rule. */
  readonly url?: string
}

/** A group has witnessed a checkpoint when at least `threshold` of its members have. */
export interface PolicyGroup {
  readonly name: string
  readonly threshold: number
  /** Names of witnesses and of groups before this one. */
  readonly members: readonly string[]
}

/** What a policy file says. */
export interface Policy {
  readonly logs: readonly PolicyLog[]
  readonly witnesses: readonly PolicyWitness[]
  readonly groups: readonly PolicyGroup[]
  /** The witness or group that must have witnessed a checkpoint; undefined for `none`. */
  readonly quorum: string | undefined
}

/** A witness that cosigned. */
export interface Witnessing {
  /** Its name in the policy. */
  readonly name: string
  readonly key: VerifierKey
  /** Seconds since the Unix epoch: the newest it signed with. */
  readonly timestamp: number
}

/** A checkpoint that satisfies a policy. */
export interface TrustedCheckpoint {
  readonly checkpoint: Checkpoint
  /** The signed note, verbatim: the evidence. */
  readonly note: string
  /** The first listed key of the log that signed. */
  readonly logKey: VerifierKey
  /** In the order of the policy; also those the quorum did not need. */
  readonly witnesses: readonly Witnessing[]
}

/** Largest policy file, in bytes: hundreds of ML-DSA-44 keys of 1.8 kB. */
export const MAX_POLICY_BYTES = 1_000_000

/** Most logs, most witnesses and most groups. The specification asks for 32 of each. */
export const MAX_POLICY_MEMBERS = 256

/** How far a witness's clock may be ahead of ours, in seconds, before its cosignature does not count. */
export const MAX_CLOCK_SKEW_S = 300

const NO_QUORUM = 'none'
const LOG_TYPES: readonly KeyType[] = [KEY_TYPE.ed25519, KEY_TYPE.mldsa44]
const WITNESS_TYPES: readonly KeyType[] = [KEY_TYPE.cosignature, KEY_TYPE.mldsa44]
const MS_PER_SECOND = 1000

/** The policy that trusts a log known by its keys alone, without witnesses. TlogError `bad-policy`, `bad-key`. */
export function policyOfLog(...vkeys: readonly string[]): Policy {
  const lines = vkeys.map((vkey) => `log ${formatVkey(parseVkey(vkey))}\n`)
  return parsePolicy(`${lines.join('')}quorum ${NO_QUORUM}\n`)
}

/** Reads a policy file. A missing newline at its very end is forgiven. TlogError `bad-policy`, naming the line. */
export function parsePolicy(input: string | Uint8Array): Policy {
  const bytes = typeof input === 'string' ? octetsOf(input) : input
  if (bytes.length > MAX_POLICY_BYTES) throw bad(`file of ${bytes.length} bytes`)
  const reading = new PolicyReading()
  let start = 0
  for (let line = 1; start < bytes.length; line++) {
    const newline = bytes.indexOf(0x0a, start)
    const end = newline < 0 ? bytes.length : newline
    try {
      reading.line(fieldsOf(bytes.subarray(start, end)))
    } catch (cause) {
      if (!(cause instanceof TlogError)) throw cause
      throw new TlogError('bad-policy', `line ${line}: ${cause.message}`, { cause })
    }
    start = end + 1
  }
  return reading.finish()
}

/**
 * Writes a policy, in UTF-8 unless names are not. Reading it gives the same policy. Throws RangeError for one that no
 * file can say.
 */
export function formatPolicy(policy: Policy): Uint8Array {
  const tail = (url: string | undefined): string[] => (url === undefined ? [] : [url])
  const lines = [
    ...policy.logs.map(({ key, url }) => ['log', formatVkey(key), ...tail(url)]),
    ...policy.witnesses.map(({ name, key, url }) => [
      'witness',
      name,
      formatVkey(key),
      ...tail(url),
    ]),
    ...policy.groups.map(({ name, threshold, members }) => {
      const rule = threshold === members.length ? 'all' : threshold === 1 ? 'any' : threshold
      return ['group', name, String(rule), ...members]
    }),
    ['quorum', policy.quorum ?? NO_QUORUM],
  ]
  if (policy.quorum === NO_QUORUM || lines.flat().some((field) => /^$|[ \t\n]/.test(field))) {
    throw new RangeError('a name in a policy that no file can say')
  }
  try {
    const bytes = octetsOf(lines.map((fields) => `${fields.join(' ')}\n`).join(''))
    parsePolicy(bytes)
    return bytes
  } catch (cause) {
    throw new RangeError('not a policy', { cause })
  }
}

/**
 * Reads a signed checkpoint and holds it against a policy: signed by a listed log whose name is the origin, cosigned by
 * a quorum. Cosignatures dated more than five minutes after `now` (milliseconds since the Unix epoch), if it is given,
 * do not count. TlogError `unknown-log`, `quorum`, or what openCheckpoint throws: one signature of a listed key that
 * does not verify is enough to refuse the note.
 */
export function checkPolicy(
  policy: Policy,
  noteText: string,
  options: { readonly now?: number } = {},
): TrustedCheckpoint {
  const keys = [...policy.logs, ...policy.witnesses].map(({ key }) => key)
  const opened = openCheckpoint(noteText, keys.map(verifierOf))
  const { checkpoint, verified } = opened
  const log = policy.logs.find(
    ({ key }) => key.name === checkpoint.origin && verified.some((v) => v.key === key),
  )
  if (log === undefined) {
    throw new TlogError('unknown-log', `no listed log signed for ${checkpoint.origin}`)
  }
  if (checkpoint.size === 0 && !equal(checkpoint.root, EMPTY_ROOT)) {
    throw new TlogError('bad-checkpoint', 'wrong root of the empty tree')
  }
  const latest =
    options.now === undefined ? Infinity : options.now / MS_PER_SECOND + MAX_CLOCK_SKEW_S
  const witnesses: Witnessing[] = []
  for (const { name, key } of policy.witnesses) {
    const times = verified.filter((v) => v.key === key).map((v) => timestampOf(v) ?? 0)
    const timely = times.filter((time) => time <= latest)
    if (timely.length > 0) witnesses.push({ name, key, timestamp: Math.max(...timely) })
  }
  if (!isQuorum(policy, new Set(witnesses.map(({ name }) => name)))) {
    const signed = witnesses.map(({ name }) => name).join(', ') || 'no witness'
    throw new TlogError('quorum', `${policy.quorum} has not witnessed it; cosigned by ${signed}`)
  }
  return { checkpoint, note: noteText, logKey: log.key, witnesses }
}

/** Whether cosignatures of the witnesses of these names are a quorum. */
export function isQuorum(
  policy: Pick<Policy, 'groups' | 'quorum'>,
  names: ReadonlySet<string>,
): boolean {
  if (policy.quorum === undefined) return true
  const witnessed = new Set(names)
  // Groups stand behind their members, so one pass settles any nesting.
  for (const { name, threshold, members } of policy.groups) {
    const count = members.filter((member) => witnessed.has(member)).length
    if (count >= threshold) witnessed.add(name)
  }
  return witnessed.has(policy.quorum)
}

class PolicyReading {
  readonly #logs: PolicyLog[] = []
  readonly #witnesses: PolicyWitness[] = []
  readonly #groups: PolicyGroup[] = []
  readonly #defined = new Set<string>()
  readonly #grouped = new Set<string>()
  #quorum: { name: string | undefined } | undefined

  line(fields: readonly string[]): void {
    const [keyword, ...rest] = fields
    if (keyword === undefined || keyword.startsWith('#')) return
    if (keyword === 'log') return this.#log(rest)
    if (keyword === 'witness') return this.#witness(rest)
    if (keyword === 'group') return this.#group(rest)
    if (keyword === 'quorum') return this.#setQuorum(rest)
    throw bad('unknown keyword')
  }

  finish(): Policy {
    if (this.#quorum === undefined) throw bad('no quorum line')
    return {
      logs: this.#logs,
      witnesses: this.#witnesses,
      groups: this.#groups,
      quorum: this.#quorum.name,
    }
  }

  #log(fields: readonly string[]): void {
    const [vkey, url, ...more] = fields
    if (vkey === undefined || more.length > 0) throw bad('want: log <vkey> [<url>]')
    const key = parseVkey(vkey)
    if (!LOG_TYPES.includes(key.type)) {
      throw bad(`type ${key.type} is not for logs, which have 1 or 6`)
    }
    this.#refuseRepeated(key, this.#logs, this.#witnesses)
    this.#logs.push({ key, ...(url === undefined ? {} : { url }) })
  }

  #witness(fields: readonly string[]): void {
    const [name, vkey, url, ...more] = fields
    if (name === undefined || vkey === undefined || more.length > 0) {
      throw bad('want: witness <name> <vkey> [<url>]')
    }
    this.#define(name)
    const key = parseVkey(vkey)
    if (!WITNESS_TYPES.includes(key.type)) {
      throw bad(`type ${key.type} is not for witnesses, which have 4 or 6`)
    }
    this.#refuseRepeated(key, this.#witnesses, this.#logs)
    this.#witnesses.push({ name, key, ...(url === undefined ? {} : { url }) })
  }

  #group(fields: readonly string[]): void {
    const [name, rule, ...members] = fields
    if (name === undefined || rule === undefined || members.length === 0) {
      throw bad('want: group <name> all|any|<k> <member>…')
    }
    const n = members.length
    const threshold = rule === 'all' ? n : rule === 'any' ? 1 : parseDecimal(rule)
    if (threshold === undefined || threshold < 1 || threshold > n) {
      throw bad(`a group of ${n} has a threshold of all, any, or 1 to ${n}`)
    }
    for (const member of members) {
      if (!this.#defined.has(member)) throw bad(`${member} is not defined above`)
      if (this.#grouped.has(member)) throw bad(`${member} is a member twice`)
      this.#grouped.add(member)
    }
    if (this.#groups.length >= MAX_POLICY_MEMBERS) throw bad('too many groups')
    // Defined last: a group cannot be its own member.
    this.#define(name)
    this.#groups.push({ name, threshold, members })
  }

  #setQuorum(fields: readonly string[]): void {
    const [name, ...more] = fields
    if (name === undefined || more.length > 0) throw bad('want: quorum <name>|none')
    if (this.#quorum !== undefined) throw bad('second quorum line')
    if (name !== NO_QUORUM && !this.#defined.has(name)) throw bad(`${name} is not defined above`)
    this.#quorum = { name: name === NO_QUORUM ? undefined : name }
  }

  #define(name: string): void {
    if (name === NO_QUORUM) throw bad(`${NO_QUORUM} cannot be defined`)
    if (this.#defined.has(name)) throw bad(`${name} is defined twice`)
    this.#defined.add(name)
  }

  // `same`: entries of the same kind, of which none may wrap the same public key; `other` only may not look the same in
  // a note, or one line could be either's.
  #refuseRepeated(
    key: VerifierKey,
    same: readonly { key: VerifierKey }[],
    other: readonly { key: VerifierKey }[],
  ): void {
    if (same.length >= MAX_POLICY_MEMBERS) throw bad('too many')
    if (same.some((s) => equal(s.key.publicKey, key.publicKey))) throw bad('key is listed twice')
    const alike = [...same, ...other].some((o) => o.key.name === key.name && o.key.id === key.id)
    if (alike) throw bad('two keys have the same name and id')
  }
}

function bad(message: string): TlogError {
  return new TlogError('bad-policy', message)
}

function fieldsOf(line: Uint8Array): string[] {
  const fields: string[] = []
  let start = 0
  for (let at = 0; at <= line.length; at++) {
    const octet = line[at] ?? 0x20
    if (octet === 0x20 || octet === 0x09) {
      if (at > start) fields.push(escapedText(line.subarray(start, at)))
      start = at + 1
    } else if (octet < 0x20 || octet === 0x7f) {
      throw bad(`octet ${toHex(Uint8Array.of(octet))} is not allowed`)
    }
  }
  return fields
}

const ESCAPE = 0xdc00

// The text of octets; each octet that is not part of valid UTF-8 becomes U+DC00 + octet, a lone surrogate.
function escapedText(octets: Uint8Array): string {
  try {
    return fromUtf8(octets)
  } catch {
    let text = ''
    for (let at = 0; at < octets.length;) {
      const lead = octets[at]!
      const length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4
      try {
        text += fromUtf8(octets.subarray(at, at + length))
        at += length
      } catch {
        text += String.fromCharCode(ESCAPE + lead)
        at++
      }
    }
    return text
  }
}

// The inverse. A surrogate that stands for no octet is refused.
function octetsOf(text: string): Uint8Array {
  const octets: number[] = []
  for (const character of text) {
    const code = character.codePointAt(0)!
    if (code >= ESCAPE + 0x80 && code <= ESCAPE + 0xff) octets.push(code - ESCAPE)
    else if (code < 0x80) octets.push(code)
    else if (code >= 0xd800 && code <= 0xdfff) throw bad('lone surrogate in a policy')
    else octets.push(...utf8(character))
  }
  return Uint8Array.from(octets)
}
