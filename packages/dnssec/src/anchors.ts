/**
 * Trust anchors: the SHA-256 DS of the root's key-signing keys, each with the time in which it counts
 * (RFC 5011 is not followed: evidence is checked at its own time, so a table with intervals is
 * needed). What a verifier trusts comes from it, never from a log or a file it verifies.
 *
 * An anchors file is text, one anchor a line, dates in UTC, or IANA's root-anchors.xml (RFC 9718):
 *
 *     # owner  DS  tag  algorithm  digest type  digest  [from  [until]]
 *     . DS 20326 8 2 E06D44B8…C7F8EC8D 2017-02-02
 *     . DS 19036 8 2 49AAC11D…32F24E8FB5 2010-07-15 2019-01-11
 */
import { fromHex, toHex } from '@dslog/tlog/bytes'
import { DIGEST, DIGEST_BYTES } from './backend/backend.ts'
import { DnssecError } from './error.ts'
import type { KeyDigest } from './ds.ts'

/** A key digest that is trusted from `from` up to, not including, `until` (ms since the epoch). */
export interface Anchor extends KeyDigest {
  readonly from: number
  readonly until?: number
}

/** A digest of a key, as DS fields in text. */
function anchor(
  fields: { tag: string; algorithm: string; digestType: string; digest: string },
  from: string | undefined,
  until: string | undefined,
): Anchor {
  const number = (what: string, text: string, max: number): number => {
    if (!/^(0|[1-9][0-9]{0,4})$/.test(text) || Number(text) > max) {
      throw new DnssecError('bad-anchor', `${what} ${JSON.stringify(text)} in a trust anchor`)
    }
    return Number(text)
  }
  const digestType = number('digest type', fields.digestType, 255)
  const hex = fields.digest.toLowerCase()
  if (digestType !== DIGEST.SHA256) {
    throw new DnssecError('bad-anchor', 'a trust anchor has a SHA-256 digest, digest type 2')
  }
  if (!/^[0-9a-f]*$/.test(hex) || hex.length !== 2 * DIGEST_BYTES[digestType]) {
    throw new DnssecError('bad-anchor', 'the digest of a trust anchor is 64 hexadecimal digits')
  }
  const base = {
    tag: number('key tag', fields.tag, 0xffff),
    algorithm: number('algorithm', fields.algorithm, 255),
    digestType,
    digest: fromHex(hex),
    from: from === undefined ? Number.NEGATIVE_INFINITY : moment(from),
  }
  if (until === undefined) return base
  const end = moment(until)
  if (end <= base.from) {
    throw new DnssecError('bad-anchor', 'a trust anchor ends before it begins')
  }
  return { ...base, until: end }
}

const DATE = /^[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}:[0-9]{2}(Z|[+-][0-9]{2}:[0-9]{2}))?$/

/** A date (UTC midnight) or a full time of RFC 3339, as ms since the epoch. */
function moment(text: string): number {
  const midnight = Date.parse(text.slice(0, 10))
  const time = DATE.test(text) ? Date.parse(text) : Number.NaN
  // Date.parse takes 30 February for 1 March: the day must come back as it was written.
  if (Number.isNaN(time) || !new Date(midnight).toISOString().startsWith(text.slice(0, 10))) {
    throw new DnssecError('bad-anchor', `date ${JSON.stringify(text)} in a trust anchor`)
  }
  return time
}

/** The root's trust anchors since it was signed. */
export const ROOT_ANCHORS: readonly Anchor[] = [
  anchor(
    {
      tag: '19036',
      algorithm: '8',
      digestType: '2',
      digest: '49AAC11D7B6F6446702E54A1607371607A1A41855200FD2CE1CDDE32F24E8FB5',
    },
    '2010-07-15',
    '2019-01-11',
  ),
  anchor(
    {
      tag: '20326',
      algorithm: '8',
      digestType: '2',
      digest: 'E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D',
    },
    '2017-02-02',
    undefined,
  ),
  anchor(
    {
      tag: '38696',
      algorithm: '8',
      digestType: '2',
      digest: '683D2D0ACB8C9B712A1948B27F741219298D0A450D612C483AF444A4C0FB2B16',
    },
    '2024-07-18',
    undefined,
  ),
]

/** The anchors that count at `at` (ms since the epoch). */
export function anchorsAt<T extends Pick<Anchor, 'from' | 'until'>>(
  anchors: readonly T[],
  at: number,
): T[] {
  return anchors.filter(({ from, until }) => from <= at && (until === undefined || at < until))
}

/**
 * Reads an anchors file in either form.
 *
 * @throws DnssecError `bad-anchor`, also for a file without any
 */
export function parseAnchors(text: string): Anchor[] {
  const anchors = /^\s*</.test(text) ? parseXml(text) : parseLines(text)
  if (anchors.length === 0) throw new DnssecError('bad-anchor', 'no trust anchor in the file')
  return anchors
}

/** What stands for "ever since" where a second date follows, which a single date would be taken for. */
const EVER_SINCE = Date.parse('0000-01-01')

/** Writes anchors as lines that `parseAnchors` reads. */
export function formatAnchors(anchors: readonly Anchor[]): string {
  return anchors
    .map(({ tag, algorithm, digestType, digest, from, until }) => {
      const isOpen = from === Number.NEGATIVE_INFINITY
      const dates = until !== undefined ? [isOpen ? EVER_SINCE : from, until] : isOpen ? [] : [from]
      const words = dates.map((time) => new Date(time).toISOString().replace('.000Z', 'Z'))
      const hex = toHex(digest).toUpperCase()
      return ['.', 'DS', tag, algorithm, digestType, hex, ...words].join(' ') + '\n'
    })
    .join('')
}

function parseLines(text: string): Anchor[] {
  const anchors: Anchor[] = []
  text.split(/\r?\n/).forEach((line, i) => {
    const words = line
      .replace(/[;#].*$/, '')
      .trim()
      .split(/\s+/)
    if (words[0] === '') return
    // `dig` and zone files put a TTL and the class before the type.
    const at = words.indexOf('DS')
    if (words[0] !== '.' || at < 1 || !words.slice(1, at).every((w) => /^([0-9]+|IN)$/.test(w))) {
      throw new DnssecError('bad-anchor', `line ${i + 1} of the trust anchors is not a DS of "."`)
    }
    const [tag = '', algorithm = '', digestType = '', ...rest] = words.slice(at + 1)
    const dates = rest.filter((word) => word.includes('-'))
    const digest = rest.slice(0, rest.length - dates.length)
    if (dates.length > 2 || digest.some((word) => word.includes('-'))) {
      throw new DnssecError('bad-anchor', `line ${i + 1} of the trust anchors has stray words`)
    }
    const fields = { tag, algorithm, digestType, digest: digest.join('') }
    anchors.push(anchor(fields, dates[0], dates[1]))
  })
  return anchors
}

/** The elements of RFC 9718 §2 and no more XML than that: a `KeyDigest` with attributes and fields. */
function parseXml(text: string): Anchor[] {
  const plain = text.replace(/<!--[\s\S]*?-->/g, '')
  if (!/<Zone>\s*\.\s*<\/Zone>/.test(plain)) {
    throw new DnssecError('bad-anchor', 'the trust anchors are not those of "."')
  }
  return [...plain.matchAll(/<KeyDigest\s([^>]*)>([\s\S]*?)<\/KeyDigest>/g)].flatMap((match) => {
    const [, attributes = '', body = ''] = match
    const field = (name: string): string =>
      new RegExp(`<${name}>\\s*([0-9A-Fa-f]+)\\s*</${name}>`).exec(body)?.[1] ?? ''
    const date = (name: string): string | undefined =>
      new RegExp(`\\b${name}\\s*=\\s*["']([^"']*)["']`).exec(attributes)?.[1]
    const digestType = field('DigestType')
    if (digestType !== String(DIGEST.SHA256)) return []
    const fields = { tag: field('KeyTag'), algorithm: field('Algorithm'), digestType }
    return [anchor({ ...fields, digest: field('Digest') }, date('validFrom'), date('validUntil'))]
  })
}
