/**
 * Configuration from the environment, declared once and used three times: to read it with types, to refuse what is wrong or
 * unknown before anything starts, and to render `.env.example`.
 *
 *   const LOG = { port: int('DSLOG_LOG_PORT', { doc: 'Port to listen on', default: '8080', min: 0, max: 65535 }) }
 *   const { log } = readConfig({ log: LOG }, process.env)        // log.port is a number
 *
 * Names are DSLOG_*, and DATABASE_URL, which hosting platforms set. A secret can be read from the file that NAME_FILE names.
 * A variable that is set to nothing is not set. All problems are reported at once, none with the value of a secret.
 */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { inspect } from 'node:util'
import { withoutSlash } from '@dslog/tlog/http'
import { DAY, HOUR, MINUTE, SECOND } from '@dslog/schema/time'

/** What kinds of values there are, in the words of `.env.example`. */
export type KeyKind =
  'string' | 'integer' | 'duration' | 'URL' | 'boolean' | 'list' | 'path' | 'secret' | 'choice'

/** One variable. */
export interface Key<T> {
  readonly name: string
  readonly kind: KeyKind
  readonly doc: string
  /** As it would be written in the environment. */
  readonly default: string | undefined
  readonly optional: boolean
  /** The value of a text; throws an Error that says what is expected. */
  readonly parse: (text: string) => T
}

/** The variables of a service, under the names that its code uses. */
export type Table = Readonly<Record<string, Key<unknown>>>

/** The values of a table. */
export type Values<T extends Table> = {
  readonly [P in keyof T]: T[P] extends Key<infer V> ? V : never
}

/** Meaning and default of a variable. With neither `default` nor `optional` it must be set. */
export interface KeyOptions {
  doc: string
  default?: string
  optional?: boolean
}

type Value<T, O> = O extends { optional: true } ? T | undefined : T

/** Everything that is wrong with the environment, one text each. */
export class ConfigError extends Error {
  readonly problems: readonly string[]

  constructor(problems: readonly string[]) {
    super(`configuration: ${problems.join('; ')}`)
    this.name = 'ConfigError'
    this.problems = problems
  }
}

/** A secret that cannot end up in a log by accident: only `reveal` gives it. */
export class Secret {
  readonly #value: string

  constructor(value: string) {
    this.#value = value
  }

  /** The secret itself. */
  reveal(): string {
    return this.#value
  }

  toString(): string {
    return '[secret]'
  }

  toJSON(): string {
    return '[secret]'
  }

  [inspect.custom](): string {
    return '[secret]'
  }
}

/** Levels of a log (log.ts), most talkative first. */
export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const

const NAME = /^(DSLOG_[A-Z0-9_]+|DATABASE_URL)$/
const FILE_SUFFIX = '_FILE'
const TEST_PREFIX = 'DSLOG_TEST_'

function key<T, const O extends KeyOptions>(
  kind: KeyKind,
  name: string,
  options: O,
  parse: (text: string) => T,
): Key<Value<T, O>> {
  if (!NAME.test(name) || name.startsWith(TEST_PREFIX)) throw new RangeError(`name ${name}`)
  const { doc, default: fallback, optional = false } = options
  return { name, kind, doc, default: fallback, optional, parse }
}

/** Any text; with `pattern`, one that matches it. */
export function string<const O extends KeyOptions & { pattern?: RegExp }>(
  name: string,
  options: O,
) {
  return key('string', name, options, (text) => {
    if (options.pattern?.test(text) === false) throw new Error(`must match ${options.pattern}`)
    return text
  })
}

/** One of some words. */
export function choice<const W extends string, const O extends KeyOptions>(
  name: string,
  words: readonly W[],
  options: O,
) {
  return key('choice', name, options, (text) => {
    const word = words.find((candidate) => candidate === text)
    if (word === undefined) throw new Error(`must be one of ${words.join(', ')}`)
    return word
  })
}

/** A decimal integer. */
export function int<const O extends KeyOptions & { min?: number; max?: number }>(
  name: string,
  options: O,
) {
  const { min = 0, max = Number.MAX_SAFE_INTEGER } = options
  return key('integer', name, options, (text) => {
    const value = /^-?\d+$/.test(text) ? Number(text) : Number.NaN
    if (!(value >= min && value <= max)) throw new Error(`must be an integer from ${min} to ${max}`)
    return value
  })
}

const UNITS = { ms: 1, s: SECOND, m: MINUTE, h: HOUR, d: DAY }

/** A span of time such as `500ms`, `10s`, `15m`, `24h`, `7d`; its value is in milliseconds. */
export function duration<const O extends KeyOptions>(name: string, options: O) {
  return key('duration', name, options, (text) => {
    const ms = parseDuration(text)
    if (ms === undefined) throw new Error('must be a number and a unit: ms, s, m, h or d')
    return ms
  })
}

/** The milliseconds of `10s`, `24h` and the like; `undefined` for any other text. */
export function parseDuration(text: string): number | undefined {
  const [, digits, unit] = /^(\d{1,12})(ms|s|m|h|d)$/.exec(text) ?? []
  return unit === undefined ? undefined : Number(digits) * UNITS[unit as keyof typeof UNITS]
}

/** A URL, by default of HTTP; its value is without a slash at the end. */
export function url<const O extends KeyOptions & { schemes?: readonly string[] }>(
  name: string,
  options: O,
) {
  return key('URL', name, options, (text) => parseUrl(text, options.schemes ?? ['http', 'https']))
}

function parseUrl(text: string, schemes: readonly string[]): string {
  const scheme = URL.canParse(text) ? new URL(text).protocol.slice(0, -1) : ''
  if (!schemes.includes(scheme)) throw new Error(`must be a URL of scheme ${schemes.join(' or ')}`)
  return withoutSlash(text)
}

/** `true` or `false`. */
export function bool<const O extends KeyOptions>(name: string, options: O) {
  return key('boolean', name, options, (text) => {
    if (text !== 'true' && text !== 'false') throw new Error('must be true or false')
    return text === 'true'
  })
}

/** Texts between commas, without the spaces around them. */
export function list<const O extends KeyOptions>(name: string, options: O) {
  return key('list', name, options, (text) => {
    const items = text.split(',').map((item) => item.trim())
    return items.filter((item) => item !== '')
  })
}

/** A file or folder; its value is absolute. */
export function path<const O extends KeyOptions>(name: string, options: O) {
  return key('path', name, options, (text) => resolve(text))
}

/** A text that is never shown. `check` throws what is wrong with it, in words that do not contain it. */
export function secret<const O extends KeyOptions & { check?: (text: string) => void }>(
  name: string,
  options: O,
) {
  return key('secret', name, options, (text) => {
    options.check?.(text)
    return new Secret(text)
  })
}

/** What all services understand. */
export const COMMON = {
  databaseUrl: secret('DATABASE_URL', {
    doc: 'PostgreSQL server (postgres:// URL), version 15 or later. Without it, an embedded database in DSLOG_DATA.',
    optional: true,
    check: (text) => void parseUrl(text, ['postgres', 'postgresql']),
  }),
  data: path('DSLOG_DATA', {
    doc: 'Folder of everything that is kept: embedded databases, keys, published files.',
    default: './data',
  }),
  logLevel: choice('DSLOG_LOG_LEVEL', LOG_LEVELS, {
    doc: 'How much is logged: trace, debug, info, warn, error, fatal or silent.',
    default: 'info',
  }),
}

/**
 * Reads some tables from one environment. `known` are tables of services that do not run here but share the environment:
 * their names are not unknown. Throws ConfigError.
 */
export function readConfig<T extends Readonly<Record<string, Table>>>(
  tables: T,
  env: Readonly<Record<string, string | undefined>>,
  known: readonly Table[] = [],
): { readonly [N in keyof T]: Values<T[N]> } {
  // A set: several tables may share a key, and what is wrong with it is said once.
  const problems = new Set<string>()
  const read = (table: Table) =>
    Object.fromEntries(
      Object.entries(table).map(([property, key]) => [property, readKey(key, env, problems)]),
    )
  const values = Object.fromEntries(Object.entries(tables).map(([name, t]) => [name, read(t)]))
  for (const problem of unknownNames([...Object.values(tables), ...known], env)) {
    problems.add(problem)
  }
  if (problems.size > 0) throw new ConfigError([...problems])
  return values as { [N in keyof T]: Values<T[N]> }
}

function readKey(
  key: Key<unknown>,
  env: Readonly<Record<string, string | undefined>>,
  problems: Set<string>,
): unknown {
  const { name } = key
  try {
    const text = readText(key, env) ?? key.default
    if (text !== undefined) return key.parse(text)
    if (!key.optional) problems.add(`${name} is required: ${key.doc}`)
  } catch (error) {
    problems.add(`${name} ${(error as Error).message}`)
  }
  return undefined
}

function readText(
  { name, kind }: Key<unknown>,
  env: Readonly<Record<string, string | undefined>>,
): string | undefined {
  const text = env[name] ?? ''
  const file = (kind === 'secret' ? env[name + FILE_SUFFIX] : undefined) ?? ''
  if (file === '') return text === '' ? undefined : text
  if (text !== '') throw new Error(`and ${name}${FILE_SUFFIX} are both set`)
  try {
    // Editors and `echo` end a file with a line feed.
    return readFileSync(file, 'utf8').replace(/\r?\n$/, '')
  } catch (error) {
    const { code = 'error' } = error as NodeJS.ErrnoException
    throw new Error(`cannot be read from ${file} (${code})`, { cause: error })
  }
}

function* unknownNames(
  tables: readonly Table[],
  env: Readonly<Record<string, string | undefined>>,
): Generator<string> {
  const names = tables.flatMap((table) =>
    Object.values(table).flatMap(({ name, kind }) =>
      kind === 'secret' ? [name, name + FILE_SUFFIX] : [name],
    ),
  )
  for (const name of Object.keys(env)) {
    if (!name.startsWith('DSLOG_') || name.startsWith(TEST_PREFIX) || names.includes(name)) continue
    const near = nearest(name, names)
    yield `${name} is not known${near === undefined ? '' : `; did you mean ${near}?`}`
  }
}

/** A slip of the finger, not another word: at most so many letters differ. */
const NEAR = 4

function nearest(name: string, names: readonly string[]): string | undefined {
  let best: string | undefined
  let least = NEAR + 1
  for (const candidate of names) {
    const distance = editDistance(name, candidate)
    if (distance < least) [best, least] = [candidate, distance]
  }
  return best
}

/** Letters to insert, delete or replace (Levenshtein). */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 0; i < a.length; i++) {
    const next = [i + 1]
    for (let j = 0; j < b.length; j++) {
      next.push(Math.min(next[j]! + 1, row[j + 1]! + 1, row[j]! + (a[i] === b[j] ? 0 : 1)))
    }
    row = next
  }
  return row[b.length]!
}

/** Width of a comment line in `.env.example`. */
const COMMENT_WIDTH = 98

/** Renders `.env.example`: sections by title, each key once, all commented out with their defaults. */
export function renderEnvExample(sections: Readonly<Record<string, Table>>): string {
  const seen = new Set<string>()
  const parts = Object.entries(sections).map(([title, table]) => {
    const keys = Object.values(table).filter(({ name }) => !seen.has(name))
    for (const { name } of keys) seen.add(name)
    return [`## ${title}`, ...keys.map(renderKey)].join('\n\n')
  })
  return parts.join('\n\n') + '\n'
}

function renderKey({ name, kind, doc, default: fallback, optional }: Key<unknown>): string {
  const need = fallback !== undefined || optional ? '' : ', required'
  const lines = wrap(`${doc} (${kind}${need})`).map((line) => `# ${line}`)
  lines.push(`#${name}=${fallback ?? ''}`)
  if (kind === 'secret') lines.push(`#${name}${FILE_SUFFIX}=`)
  return lines.join('\n')
}

function wrap(text: string): string[] {
  const lines = ['']
  for (const word of text.split(' ')) {
    const line = lines.at(-1)!
    if (line === '') lines[lines.length - 1] = word
    else if (line.length + 1 + word.length > COMMENT_WIDTH) lines.push(word)
    else lines[lines.length - 1] = `${line} ${word}`
  }
  return lines
}
