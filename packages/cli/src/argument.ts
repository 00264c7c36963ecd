/** What options are worth: texts of the command line, read strictly. */
import { isIP } from 'node:net'
import { InvalidArgumentError, Option } from 'commander'
import { parseDecimal } from '@dslog/tlog/bytes'
import { withoutSlash } from '@dslog/tlog/http'
import { parseDuration } from '@dslog/service/config'
import { EXIT, Failure } from './failure.ts'

/** Roles and types of keys. */
export const ROLES: readonly string[] = ['log', 'witness', 'auditor']
export const TYPES: readonly string[] = ['ed25519', 'mldsa44']

/** An option that takes one of some words. */
export function oneOf(flags: string, description: string, words: readonly string[]): Option {
  return new Option(flags, description).choices(words)
}

/** Where something listens. */
export interface SocketAddress {
  readonly address: string
  readonly port: number
}

const TIME = /^(\d{4}-\d\d-\d\d)(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d))?$/
const COMPACT_TIME = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)$/

/** A time on the command line, as ms since the Unix epoch. */
export function time(text: string): number {
  const iso = text.replace(COMPACT_TIME, '$1-$2-$3T$4:$5:$6Z')
  const date = TIME.exec(iso)?.[1]
  // Date.parse takes 30 February for 1 March: the day must come back as it was written.
  const midnight = date === undefined ? Number.NaN : Date.parse(date)
  const isDay = !Number.isNaN(midnight) && new Date(midnight).toISOString().slice(0, 10) === date
  const ms = isDay ? Date.parse(iso) : Number.NaN
  if (Number.isNaN(ms)) throw new InvalidArgumentError('A time is as 2024-07-19T06:00:00Z.')
  return ms
}

/** An index of an entry, or another number that counts. */
export function index(text: string): number {
  const value = parseDecimal(text)
  if (value === undefined) {
    throw new InvalidArgumentError('A whole number is wanted, from 0 to 9007199254740991.')
  }
  return value
}

/** An address and a port, as `127.0.0.1:53` or `[::1]:53`. */
export function socket(text: string): SocketAddress {
  const [, v6, v4, port] = /^(?:\[([^\]]+)\]|([^:]+)):(0|[1-9]\d{0,4})$/.exec(text) ?? []
  const address = v6 ?? v4 ?? ''
  if (isIP(address) !== (v6 === undefined ? 4 : 6) || Number(port) > 65_535) {
    throw new InvalidArgumentError('An address and a port are as 127.0.0.1:53 or [::1]:53.')
  }
  return { address, port: Number(port) }
}

/** Whether something is named by a URL of HTTP, not by a path. */
export function isHttpUrl(text: string): boolean {
  return /^https?:/i.test(text)
}

/** A URL of HTTP, without a slash at its end. @throws Failure `usage` */
export function httpUrl(text: string): string {
  if (isHttpUrl(text) && URL.canParse(text)) return withoutSlash(text)
  throw new Failure(EXIT.usage, `not an http or https URL: ${text}`)
}

/** A span of time, in ms. */
export function duration(text: string): number {
  const ms = parseDuration(text)
  if (ms === undefined) throw new InvalidArgumentError('A span of time is as 30m, 24h or 7d.')
  return ms
}

/** Port 0 lets the system choose. */
export function port(text: string): number {
  const value = /^(0|[1-9]\d{0,4})$/.test(text) ? Number(text) : Number.NaN
  if (!(value <= 65_533)) throw new InvalidArgumentError('A port is a number up to 65533.')
  return value
}
