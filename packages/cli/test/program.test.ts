import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { VERSION } from '@dslog/service/version'
import { dslog } from './io.ts'

const COMMANDS = [
  'up',
  'demo',
  'log',
  'monitor',
  'health',
  'crawler',
  'import',
  'history',
  'prove',
  'verify',
  'audit',
  'enforce',
  'consistency',
  'watch',
  'pins',
  'policy',
  'check',
  'submit',
  'keygen',
  'freeze',
  'fsck',
  'export',
  'mirror',
  'restore',
  'rebuild-map',
  'migrate',
]

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'dslog-cli-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** A call in an empty folder. */
async function fails(...args: string[]) {
  const called = await dslog([...args, '--data', folder])
  expect(called.stdout).toBe('')
  // One line, whatever went wrong, and nothing of where in the code.
  expect(called.stderr).toMatch(/^dslog: [^\n]+\n$/)
  expect(called.stderr).not.toContain('    at ')
  return called
}

describe('help', () => {
  it('lists every command, and the exit codes', async () => {
    const { code, stderr, stdout } = await dslog(['--help'])
    expect(code).toBe(0)
    expect(stderr).toBe('')
    const listed = [...stdout.matchAll(/^ {2}([a-z][a-z-]*) /gm)].map(([, command]) => command)
    expect(new Set(listed)).toEqual(new Set(['help', ...COMMANDS]))
    expect(stdout).toContain('0 ok, 1 verification failed, 2 usage, 3 network or service')
  })

  it.each(COMMANDS)('of %s shows examples and what all commands take', async (command) => {
    const { code, stdout } = await dslog([command, '--help'])
    expect(code).toBe(0)
    expect(stdout).toMatch(new RegExp(`^Usage: dslog ${command} `))
    expect(stdout).toMatch(/Examples:\n {2}/)
    expect(stdout).toMatch(new RegExp(`^ {2}.*dslog ${command}\\b`, 'm'))
    for (const option of ['json', 'quiet', 'log', 'policy', 'anchors', 'data']) {
      expect(stdout).toContain(`--${option}`)
    }
  })

  it('is also what a call without a command gets, as a mistake', async () => {
    const { code, stderr, stdout } = await dslog([])
    expect(code).toBe(2)
    expect(stdout).toBe('')
    expect(stderr).toContain('Usage: dslog')
  })

  it('shows the version of the package', async () => {
    const path = new URL('../package.json', import.meta.url)
    const { version } = JSON.parse(readFileSync(path, 'utf8')) as { version: string }
    expect(VERSION).toBe(version)
    expect(await dslog(['--version'])).toMatchObject({ code: 0, stdout: `${version}\n` })
  })
})

describe('what all commands take', () => {
  it('may stand before the command', async () => {
    const after = await dslog(['policy', 'check', '/nonexistent', '--json', '--data', folder])
    for (const args of [
      ['--json', '--data', folder, 'policy', 'check', '/nonexistent'],
      [`--data=${folder}`, '--quiet', 'policy', 'check', '--json', '/nonexistent'],
    ]) {
      expect(await dslog(args)).toMatchObject({ code: after.code, stderr: after.stderr })
    }
    expect((await dslog(['--json'])).code).toBe(2)
    expect((await dslog(['--log'])).code).toBe(2)
    expect((await dslog(['--nosuch', 'policy'])).stderr).toContain("unknown option '--nosuch'")
    expect((await dslog(['--json', 'history', '--help'])).code).toBe(0)
  })
})

describe('a wrong call is exit code 2 and one line', () => {
  it.each([
    [['nosuch'], /unknown command 'nosuch'/],
    [['history', 'fi.', '--nosuch'], /unknown option '--nosuch'/],
    [['history'], /missing required argument 'name'/],
    [['history', 'a.', 'b.'], /too many arguments/],
    [['import'], /missing required argument 'file'/],
    [['prove', 'fi.'], /--output <file>' not specified/],
    [['audit', '--from', 'x'], /A whole number is wanted/],
    [['audit', '--from', '-1'], /A whole number|unknown option/],
    [['audit', '--from', '9007199254740993'], /A whole number is wanted/],
    [['audit', '--from', '1', '--state', 'x'], /exclude each other/],
    [['up', '--port', '65535'], /A port is a number up to 65533/],
    [['up', '--names', 'x', '--no-crawler'], /--names is for the crawler/],
    [['up', '--names', '/nonexistent/names'], /no such file/],
    [['log', '--origin', 'x'], /--origin is for --create/],
    [['keygen', '--origin', 'a b'], /no spaces/],
    [['history', 'a..b'], /not a domain name: empty label/],
    [['history', 'fi.', '--log', 'ftp://log.example'], /not an http or https URL/],
    [['history', 'fi.', '--log', 'http://log.example'], /no policy.*--policy FILE/],
    [['history', 'fi.', '--policy', '/nonexistent/policy'], /no such file/],
    [['verify', '/nonexistent/proof'], /no policy/],
    [['import', '/nonexistent/zone'], /^dslog: \/nonexistent\/zone: no such file/],
    [['import', tmpdir()], /^dslog: \/\S+: is a folder\n$/],
    [['policy', 'check', tmpdir()], /^dslog: \/\S+: is a folder\n$/],
    [['history', 'fi.', '--policy', tmpdir()], /^dslog: \/\S+: is a folder/],
    [['submit', tmpdir(), '--log', 'http://log.example'], /^dslog: \/\S+: is a folder/],
    [['restore', '--from', '/nonexistent'], /^dslog: \/nonexistent\/checkpoint: no such file/],
    [['fsck'], /there is no log in/],
    [['freeze', '--yes'], /there is no log in/],
  ])('%j', async (args, message) => {
    const { code, stderr } = await fails(...args)
    expect(stderr).toMatch(message)
    expect(code).toBe(2)
  })

  it.each(['yesterday', '2024-02-30', '2024-13-01', '20240230000000', '2024-07-19T06:00', '12'])(
    'import --at %s',
    async (at) => {
      const { code, stderr } = await fails('import', '--at', at, 'x')
      expect(code).toBe(2)
      expect(stderr).toContain('A time is as 2024-07-19T06:00:00Z')
    },
  )

  it.each(['2024-07-19', '2024-07-19T06:00Z', '2024-07-19T06:00:00.5+02:00', '20240719060000'])(
    'but import --at %s is a time, and the next mistake shows',
    async (at) => {
      const { code, stderr } = await fails('import', '--at', at, '/nonexistent/zone')
      expect(code).toBe(2)
      expect(stderr).toContain('/nonexistent/zone')
    },
  )

  it('which on a terminal takes the place of progress', async () => {
    const { stderr } = await dslog(['history', 'a..b'], { tty: true })
    expect(stderr.startsWith('\r\u001B[Kdslog: ')).toBe(true)
  })

  it('an unknown variable of the environment', async () => {
    const env = { DSLOG_DATTA: 'x' }
    const { code, stderr } = await dslog(['history', 'fi.'], { env })
    expect(code).toBe(2)
    expect(stderr).toMatch(/DSLOG_DATTA is not known; did you mean DSLOG_DATA/)
  })

  it('leaves nothing behind', () => {
    expect(() => readFileSync(join(folder, 'log.key'))).toThrow('ENOENT')
  })
})

describe('a service that is not there is exit code 3', () => {
  it('when nothing listens', async () => {
    const policy = join(folder, 'trusted')
    const keygen = ['keygen', '--origin', 'log.example', '-o', join(folder, 'key'), '--json']
    const { events } = await dslog(keygen)
    writeFileSync(policy, String(events[0]!['policy']))
    // Port 1 is reserved, and closed.
    const args = ['audit', '--log', 'http://127.0.0.1:1', '--policy', policy]
    const { code, stderr } = await fails(...args)
    expect(stderr).toContain('no connection')
    expect(code).toBe(3)
  })
})
