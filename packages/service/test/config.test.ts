import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { inspect } from 'node:util'
import { afterAll, describe, expect, expectTypeOf, it } from 'vitest'
import {
  COMMON,
  ConfigError,
  bool,
  choice,
  duration,
  int,
  list,
  path,
  readConfig,
  renderEnvExample,
  secret,
  string,
  url,
} from '@dslog/service/config'
import type { Secret, Table } from '@dslog/service/config'

const folder = mkdtempSync(join(tmpdir(), 'dslog-config-'))
afterAll(() => rmSync(folder, { recursive: true }))

const LOG = {
  port: int('DSLOG_LOG_PORT', { doc: 'Port to listen on.', default: '8080', min: 0, max: 65535 }),
  origin: string('DSLOG_LOG_ORIGIN', { doc: 'Name of the log.', pattern: /^[a-z./]+$/ }),
  interval: duration('DSLOG_LOG_INTERVAL', { doc: 'Time between trees.', default: '1s' }),
  witnesses: list('DSLOG_LOG_WITNESSES', { doc: 'URLs of witnesses.', default: '' }),
  token: secret('DSLOG_OPERATOR_TOKEN', { doc: 'Token of the operator.', optional: true }),
  frozen: bool('DSLOG_LOG_FROZEN', { doc: 'Whether nothing is added.', default: 'false' }),
}
const MONITOR = {
  log: url('DSLOG_MONITOR_LOG', { doc: 'Log to follow.', optional: true }),
  mode: choice('DSLOG_MONITOR_MODE', ['watch', 'audit'], { doc: 'What it does.', optional: true }),
}
const GOOD = { DSLOG_LOG_ORIGIN: 'log.example' }

function read<T extends Table>(table: T, env: Record<string, string>) {
  return readConfig({ it: table }, env).it
}

function problems(table: Table, env: Record<string, string>, known: Table[] = []) {
  try {
    readConfig({ table }, env, known)
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError)
    return (error as ConfigError).problems
  }
  return []
}

describe('reading', () => {
  it('gives values with types, and defaults', () => {
    const log = read(LOG, GOOD)
    expectTypeOf(log.port).toEqualTypeOf<number>()
    expectTypeOf(log.token).toEqualTypeOf<Secret | undefined>()
    expectTypeOf(read(MONITOR, {}).mode).toEqualTypeOf<'watch' | 'audit' | undefined>()
    expect(log).toEqual({
      port: 8080,
      origin: 'log.example',
      interval: 1000,
      witnesses: [],
      token: undefined,
      frozen: false,
    })
  })

  it('reads every kind', () => {
    expect(
      read(LOG, {
        ...GOOD,
        DSLOG_LOG_PORT: '0',
        DSLOG_LOG_INTERVAL: '15m',
        DSLOG_LOG_WITNESSES: ' a , b,, ',
        DSLOG_LOG_FROZEN: 'true',
      }),
    ).toMatchObject({ port: 0, interval: 900_000, witnesses: ['a', 'b'], frozen: true })
    expect(
      read(MONITOR, { DSLOG_MONITOR_LOG: 'https://a.example/x/', DSLOG_MONITOR_MODE: 'audit' }),
    ).toEqual({ log: 'https://a.example/x', mode: 'audit' })
    const data = { data: path('DSLOG_DATA', { doc: 'Data.', default: './data' }) }
    expect(read(data, {}).data).toBe(resolve('data'))
    expect(read(data, { DSLOG_DATA: '/srv/x' }).data).toBe('/srv/x')
  })

  it.each([
    ['500ms', 500],
    ['10s', 10_000],
    ['24h', 86_400_000],
    ['7d', 604_800_000],
    ['0s', 0],
  ])('duration %s', (text, ms) => {
    expect(read(LOG, { ...GOOD, DSLOG_LOG_INTERVAL: text }).interval).toBe(ms)
  })

  it('takes a variable that is set to nothing as not set', () => {
    expect(read(LOG, { ...GOOD, DSLOG_LOG_PORT: '' }).port).toBe(8080)
    expect(problems(LOG, { DSLOG_LOG_ORIGIN: '' })).toEqual([
      'DSLOG_LOG_ORIGIN is required: Name of the log.',
    ])
  })

  it('has common keys: a server or a folder', () => {
    const { databaseUrl, data, logLevel } = read(COMMON, {
      DATABASE_URL: 'postgres://u:pw@h/db',
    })
    expect(databaseUrl?.reveal()).toBe('postgres://u:pw@h/db')
    expect([data, logLevel]).toEqual([resolve('data'), 'info'])
    expect(problems(COMMON, { DATABASE_URL: 'mysql://u:pw@h/db' })).toEqual([
      'DATABASE_URL must be a URL of scheme postgres or postgresql',
    ])
    expect(problems(COMMON, { DSLOG_LOG_LEVEL: 'loud' })).toHaveLength(1)
  })
})

describe('refusing', () => {
  it.each([
    ['DSLOG_LOG_PORT', '65536', 'must be an integer from 0 to 65535'],
    ['DSLOG_LOG_PORT', '-1', 'must be an integer from 0 to 65535'],
    ['DSLOG_LOG_PORT', '80.5', 'must be an integer from 0 to 65535'],
    ['DSLOG_LOG_PORT', '8e3', 'must be an integer from 0 to 65535'],
    ['DSLOG_LOG_ORIGIN', 'Log', 'must match /^[a-z./]+$/'],
    ['DSLOG_LOG_INTERVAL', '10', 'must be a number and a unit: ms, s, m, h or d'],
    ['DSLOG_LOG_INTERVAL', '1.5s', 'must be a number and a unit: ms, s, m, h or d'],
    ['DSLOG_LOG_FROZEN', 'yes', 'must be true or false'],
    ['DSLOG_MONITOR_LOG', 'log.example', 'must be a URL of scheme http or https'],
    ['DSLOG_MONITOR_LOG', 'file:///etc', 'must be a URL of scheme http or https'],
    ['DSLOG_MONITOR_MODE', 'Watch', 'must be one of watch, audit'],
  ])('%s=%s', (name, value, message) => {
    expect(problems({ ...LOG, ...MONITOR }, { ...GOOD, [name]: value })).toEqual([
      `${name} ${message}`,
    ])
  })

  it('reports everything at once, and a shared key once', () => {
    const env = { DSLOG_LOG_PORT: 'x', DSLOG_LOG_FROZEN: 'x', DSLOG_LOG_ORIGN: 'a' }
    let found: readonly string[] = []
    try {
      readConfig({ log: LOG, again: { port: LOG.port } }, env)
    } catch (error) {
      found = (error as ConfigError).problems
      expect((error as Error).message).toContain('DSLOG_LOG_PORT')
    }
    expect(found).toEqual([
      'DSLOG_LOG_PORT must be an integer from 0 to 65535',
      'DSLOG_LOG_ORIGIN is required: Name of the log.',
      'DSLOG_LOG_FROZEN must be true or false',
      'DSLOG_LOG_ORIGN is not known; did you mean DSLOG_LOG_ORIGIN?',
    ])
  })

  it('refuses unknown names, except those of tests and of other services', () => {
    expect(problems(LOG, { ...GOOD, PATH: '/bin', DSLOG_TEST_DATA: 'x' })).toEqual([])
    expect(problems(LOG, { ...GOOD, DSLOG_SOMETHING_ELSE: 'x' })).toEqual([
      'DSLOG_SOMETHING_ELSE is not known',
    ])
    expect(problems(LOG, { ...GOOD, DSLOG_MONITOR_LOG: 'http://x' })).toHaveLength(1)
    expect(problems(LOG, { ...GOOD, DSLOG_MONITOR_LOG: 'http://x' }, [MONITOR])).toEqual([])
    // A value of another service is not read, so it is not refused either.
    expect(problems(LOG, { ...GOOD, DSLOG_MONITOR_LOG: 'x' }, [MONITOR])).toEqual([])
    // Only secrets have files.
    expect(problems(LOG, { ...GOOD, DSLOG_LOG_PORT_FILE: '/x' })).toHaveLength(1)
  })

  it('does not let a table declare a name outside of its space', () => {
    expect(() => int('LOG_PORT', { doc: '' })).toThrow(RangeError)
    expect(() => int('DSLOG_TEST_PORT', { doc: '' })).toThrow(RangeError)
  })
})

describe('secrets', () => {
  it('come from a file too, without its last line feed', () => {
    const file = join(folder, 'token')
    writeFileSync(file, 'tok en\n\n')
    expect(read(LOG, { ...GOOD, DSLOG_OPERATOR_TOKEN_FILE: file }).token?.reveal()).toBe('tok en\n')
    writeFileSync(file, 'x\r\n')
    expect(read(LOG, { ...GOOD, DSLOG_OPERATOR_TOKEN_FILE: file }).token?.reveal()).toBe('x')
  })

  it('refuses a missing file, and both at once', () => {
    const file = join(folder, 'none')
    expect(problems(LOG, { ...GOOD, DSLOG_OPERATOR_TOKEN_FILE: file })).toEqual([
      `DSLOG_OPERATOR_TOKEN cannot be read from ${file} (ENOENT)`,
    ])
    expect(
      problems(LOG, { ...GOOD, DSLOG_OPERATOR_TOKEN_FILE: file, DSLOG_OPERATOR_TOKEN: 'hunter2' }),
    ).toEqual(['DSLOG_OPERATOR_TOKEN and DSLOG_OPERATOR_TOKEN_FILE are both set'])
  })

  it('are never shown', () => {
    const { token } = read(LOG, { ...GOOD, DSLOG_OPERATOR_TOKEN: 'hunter2' })
    const shown = [String(token), JSON.stringify({ token }), inspect({ token }, { depth: 9 })]
    for (const text of shown) {
      expect(text).toContain('[secret]')
      expect(text).not.toContain('hunter2')
    }
    expect(token?.reveal()).toBe('hunter2')
    const [problem] = problems(COMMON, { DATABASE_URL: 'hunter2' })
    expect(problem).not.toContain('hunter2')
  })
})

describe('.env.example', () => {
  it('lists each key once, with meaning, kind and default', () => {
    expect(renderEnvExample({ Log: LOG, Monitor: { port: LOG.port, mode: MONITOR.mode } })).toBe(
      `## Log

# Port to listen on. (integer)
#DSLOG_LOG_PORT=8080

# Name of the log. (string, required)
#DSLOG_LOG_ORIGIN=

# Time between trees. (duration)
#DSLOG_LOG_INTERVAL=1s

# URLs of witnesses. (list)
#DSLOG_LOG_WITNESSES=

# Token of the operator. (secret)
#DSLOG_OPERATOR_TOKEN=
#DSLOG_OPERATOR_TOKEN_FILE=

# Whether nothing is added. (boolean)
#DSLOG_LOG_FROZEN=false

## Monitor

# What it does. (choice)
#DSLOG_MONITOR_MODE=
`,
    )
  })

  it('can be read back: its defaults are valid', () => {
    const text = renderEnvExample({ Common: COMMON, Monitor: MONITOR })
    const env = Object.fromEntries(
      [...text.matchAll(/^#([A-Z_]+)=(.*)$/gm)].map(([, name, value]) => [name!, value!]),
    )
    expect(problems({ ...COMMON, ...MONITOR }, env)).toEqual([])
    for (const line of text.split('\n')) expect(line.length).toBeLessThanOrEqual(100)
  })
})
