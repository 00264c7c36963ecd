import { mkdtempSync, rmSync } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import { formatSkey, parseSkey, parseVkey } from '@dslog/tlog/key'
import { parsePolicy } from '@dslog/tlog/policy'
import { Secret } from '@dslog/service/config'
import { namedKey, prepareFolder } from '../src/folder.ts'
import { dslog } from './io.ts'

const base = mkdtempSync(join(tmpdir(), 'dslog-cli-'))
let data: string
let made = 0
beforeEach(() => {
  data = join(base, String(made++))
})
afterAll(() => rmSync(base, { recursive: true, force: true }))

const modeOf = async (path: string) => (await stat(path)).mode % 0o1000
const text = (name: string) => readFile(join(data, name), 'utf8')

describe('a fresh folder', () => {
  it('gets a key that only its owner can read, and a policy that trusts it', async () => {
    const key = await prepareFolder(data)
    expect(key.name).toMatch(/^dslog\.local\/[0-9a-f]{8}$/)
    expect(parseSkey((await text('log.key')).trim())).toEqual(key)
    expect(await modeOf(data)).toBe(0o700)
    expect(await modeOf(join(data, 'log.key'))).toBe(0o600)
    const { logs, quorum } = parsePolicy(await text('policy'))
    expect(logs.map((log) => log.key.id)).toEqual([key.id])
    expect(quorum).toBeUndefined()
  })

  it('gets the origin that it is given', async () => {
    expect((await prepareFolder(data, { origin: 'log.example/ds' })).name).toBe('log.example/ds')
  })

  it('keeps no key that is kept elsewhere', async () => {
    const key = namedKey('log.example/ds')
    const elsewhere = new Secret(`${formatSkey(key)}\n`)
    expect(formatSkey(await prepareFolder(data, { key: elsewhere }))).toBe(formatSkey(key))
    await expect(text('log.key')).rejects.toThrow('ENOENT')
    expect(parsePolicy(await text('policy')).logs[0]!.key.id).toBe(key.id)
  })

  it.each(['a b', 'a+b', '', '\u0085'])('takes no origin like %j', async (origin) => {
    await expect(prepareFolder(data, { origin })).rejects.toMatchObject({ exitCode: 2 })
  })
})

describe('a folder with a log', () => {
  it('stays as it is', async () => {
    const key = await prepareFolder(data)
    const before = [await text('log.key'), await text('policy')]
    expect(await prepareFolder(data)).toEqual(key)
    expect(await prepareFolder(data, { origin: key.name })).toEqual(key)
    expect([await text('log.key'), await text('policy')]).toEqual(before)
  })

  it('is not another log', async () => {
    const { name } = await prepareFolder(data)
    await expect(prepareFolder(data, { origin: 'log.example/ds' })).rejects.toMatchObject({
      exitCode: 2,
      message: `the log in ${data} is ${name}, not log.example/ds`,
    })
  })
})

describe('dslog keygen', () => {
  it('makes a key and says what others need', async () => {
    const path = join(base, 'made.key')
    const args = ['keygen', '--origin', 'log.example/ds', '-o', path]
    const { code, events, stdout } = await dslog([...args, '--json'])
    expect(code).toBe(0)
    expect(await modeOf(path)).toBe(0o600)
    const key = parseSkey((await readFile(path, 'utf8')).trim())
    const { file, origin, policy, vkey } = events[0] as Record<string, string>
    expect({ file, origin }).toEqual({ file: path, origin: 'log.example/ds' })
    expect(parseVkey(vkey!)).toMatchObject({ name: key.name, id: key.id })
    expect(parsePolicy(policy!).logs[0]!.key).toEqual(parseVkey(vkey!))
    expect(stdout).not.toContain('PRIVATE')

    const again = await dslog(args)
    expect(again).toMatchObject({ code: 2, stdout: '' })
    expect(again.stderr).toContain('a key is never overwritten')
    expect(parseSkey((await readFile(path, 'utf8')).trim())).toEqual(key)
  })

  it.each([
    ['log', 'ed25519', 1],
    ['log', 'mldsa44', 6],
    ['witness', 'ed25519', 4],
    ['witness', 'mldsa44', 6],
    ['auditor', 'ed25519', 4],
    ['auditor', 'mldsa44', 6],
  ])('makes a key of a %s with %s', async (role, type, byte) => {
    const path = join(base, `${role}-${type}.key`)
    const args = ['keygen', '--role', role, '--type', type, '--origin', `${role}.example`]
    const { code, events } = await dslog([...args, '-o', path, '--json'])
    expect(code).toBe(0)
    expect(events[0]).toMatchObject({ role, type, origin: `${role}.example` })
    const { policy, vkey } = events[0] as Record<string, string>
    expect(parseVkey(vkey!).type).toBe(byte)
    expect(parseSkey((await readFile(path, 'utf8')).trim()).type).toBe(byte)
    expect(policy).toContain(vkey)
  })

  it('makes no key of another role or type, nor of an origin with a scheme', async () => {
    expect((await dslog(['keygen', '--role', 'owner'])).code).toBe(2)
    expect((await dslog(['keygen', '--type', 'rsa'])).code).toBe(2)
    expect(await dslog(['keygen', '--origin', 'https://log.example/ds'])).toMatchObject({
      code: 2,
      stderr: 'dslog: an origin is a URL without its scheme: log.example/ds\n',
    })
  })

  it('makes the key of the data folder unless told', async () => {
    const { code, stdout } = await dslog(['keygen', '--data', data])
    expect(code).toBe(0)
    const key = parseSkey((await text('log.key')).trim())
    expect(stdout).toContain(join(data, 'log.key'))
    expect((await prepareFolder(data)).id).toBe(key.id)
  })
})
