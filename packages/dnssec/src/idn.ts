/**
 * Names as people type and read them. Typed: with or without the dot at the end, in presentation form
 * with its escapes, or as U-labels, which become A-labels by the rules of browsers (UTS 46, as the URL
 * standard applies it to hosts). Read: A-labels decoded (RFC 3492), for a display that shows the name
 * itself beside it, since letters of two scripts can look the same.
 */
import { DnssecError, wellFormed } from './error.ts'
import { type Name, nameFromText, nameToText } from './name.ts'

/**
 * Reads a name that was typed.
 *
 * @throws DnssecError `bad-name`
 */
export function nameFromTyped(text: string): Name {
  return nameFromText(/^\p{ASCII}*$/u.test(text) ? text : toAscii(text))
}

/** Behind the name while it is converted: a host that ends in a number would become an address. */
const SHIELD = 'x'

function toAscii(text: string): string {
  // The parser reads URLs, and what ends a host there would be dropped in silence.
  const isHost = /^[\P{ASCII}a-z0-9._-]+$/iu.test(text)
  const dot = /[.\u3002\uFF0E\uFF61]$/.test(text) ? '' : '.'
  const url = `http://${text}${dot}${SHIELD}/`
  const ascii = isHost && URL.canParse(url) ? new URL(url).hostname : ''
  if (ascii.endsWith(`.${SHIELD}`)) return ascii.slice(0, -SHIELD.length)
  throw new DnssecError('bad-name', `no internationalised name: ${text.slice(0, 300)}`)
}

/**
 * A name with its A-labels decoded, or `undefined` if it has none that stand for anything. Only what
 * the conversion above leads back to the same name is shown: a label may claim to be anything.
 */
export function nameToUnicode(name: Name): string | undefined {
  const text = nameToText(name)
  const shown = text
    .split('.')
    .map((label) => (label.startsWith('xn--') ? (decodeLabel(label.slice(4)) ?? label) : label))
    .join('.')
  if (shown === text) return undefined
  return wellFormed(() => (nameToText(nameFromTyped(shown)) === text ? shown : undefined))
}

// RFC 3492 section 5.
const BASE = 36
const T_MIN = 1
const T_MAX = 26
const SKEW = 38
const DAMP = 700
const INITIAL_BIAS = 72
const INITIAL_N = 128
const MAX_CODE_POINT = 0x10ffff

/** RFC 3492 section 6.2; `undefined` for what is no Punycode. */
function decodeLabel(encoded: string): string | undefined {
  const delimiter = encoded.lastIndexOf('-')
  const points = Array.from(encoded.slice(0, Math.max(0, delimiter)), (char) => char.charCodeAt(0))
  const digits = encoded.slice(delimiter + 1)
  let n = INITIAL_N
  let bias = INITIAL_BIAS
  let i = 0
  for (let at = 0; at < digits.length;) {
    const before = i
    let weight = 1
    for (let k = BASE; ; k += BASE) {
      const digit = digitOf(digits[at++])
      if (digit === undefined) return undefined
      i += digit * weight
      const threshold = Math.min(Math.max(k - bias, T_MIN), T_MAX)
      if (digit < threshold) break
      weight *= BASE - threshold
    }
    const length = points.length + 1
    bias = adapt(i - before, length, before === 0)
    n += Math.floor(i / length)
    i %= length
    if (n > MAX_CODE_POINT) return undefined
    points.splice(i++, 0, n)
  }
  return String.fromCodePoint(...points)
}

function digitOf(char: string | undefined): number | undefined {
  if (char === undefined || !/^[a-z0-9]$/.test(char)) return undefined
  return Number.parseInt(char, BASE) >= 10 ? char.charCodeAt(0) - 0x61 : Number(char) + T_MAX
}

// RFC 3492 section 6.1.
function adapt(delta: number, length: number, first: boolean): number {
  let rest = Math.floor(delta / (first ? DAMP : 2))
  rest += Math.floor(rest / length)
  let k = 0
  for (; rest > ((BASE - T_MIN) * T_MAX) / 2; k += BASE) rest = Math.floor(rest / (BASE - T_MIN))
  return k + Math.floor(((BASE - T_MIN + 1) * rest) / (rest + SKEW))
}
