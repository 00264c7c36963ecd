import { mkdtempSync, rmSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { spawnSync } from 'node:child_process'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import { formatVkey } from '@dslog/tlog/key'
import { ROOT_ANCHORS } from '@dslog/dnssec/anchors'
import { processIdentity } from '@dslog/service/lock'
import { namedKey, prepareFolder } from '../src/folder.ts'
import type { GlobalOptions } from '../src/options.ts'
import { Session } from '../src/session.ts'
import { testIo } from './io.ts'

const base = mkdtempSync(join(tmpdir(), 'dslog-cli-'))
let data: string
let made = 0
beforeEach(async () => {
  data = join(base, String(made++))
  await mkdir(data)
})
afterAll(() => rmSync(base, { recursive: true, force: true }))

const session = (options: GlobalOptions = {}, env: Record<string, string> = {}) =>
  new Session({ data, ...options }, testIo({ env }))

const me = JSON.parse(processIdentity()) as object
/** A process that has ended. */
const gone = { ...me, pid: spawnSync(process.execPath, ['-e', '']).pid }

async function serviceFile(who: object = me) {
  const [log, monitor] = ['http://127.0.0.1:8080', 'http://127.0.0.1:8081']
  const service = { pid: 1, process: JSON.stringify(who), log, monitor, operator_token: 'secret' }
  await writeFile(join(data, 'service.json'), JSON.stringify(service))
}

describe('the data folder', () => {
  it('is the one named, else that of the environment, else ./data', () => {
    expect(session().data).toBe(data)
    expect(session({ data: 'elsewhere' }).data).toBe(resolve('elsewhere'))
    const of = (env: Record<string, string>) => new Session({}, testIo({ env })).data
    expect(of({ DSLOG_DATA: '/srv/log' })).toBe('/srv/log')
    expect(of({})).toBe(resolve('data'))
    expect(of({ DSLOG_DATA: '' })).toBe(resolve('data'))
  })
})

describe('the log', () => {
  it('is the one named, else that of the environment, else the one beside', async () => {
    await serviceFile()
    const env = { DSLOG_LOG: 'https://env.example/log/' }
    expect(await session({ log: 'https://named.example/' }, env).logUrl()).toBe(
      'https://named.example',
    )
    expect(await session({}, env).logUrl()).toBe('https://env.example/log')
    expect(await session().logUrl()).toBe('http://127.0.0.1:8080')
  })

  it('is none if the service beside has ended', async () => {
    expect(await session().logUrl()).toBeUndefined()
    await serviceFile(gone)
    expect(await session().logUrl()).toBeUndefined()
    // Containers give the same pids again and again.
    await serviceFile({ ...me, start: '1' })
    expect(await session().logUrl()).toBeUndefined()
  })

  it('is believed to run where that cannot be seen', async () => {
    await serviceFile({ ...me, space: 'of another container' })
    expect(await session().logUrl()).toBe('http://127.0.0.1:8080')
  })

  it.each(['{', '{}', 'null', '[]', '{"pid":"1","log":"x"}', '{"pid":1}'])(
    'is not guessed from a service file that says %s',
    async (text) => {
      await writeFile(join(data, 'service.json'), text)
      await expect(session().logUrl()).rejects.toThrow(/service\.json.*remove it/)
    },
  )
})

describe("the operator's token", () => {
  it('is that of the environment, else of the service beside', async () => {
    expect(await session().operatorToken()).toBeUndefined()
    await serviceFile()
    expect(await session().operatorToken()).toBe('secret')
    expect(await session({}, { DSLOG_OPERATOR_TOKEN: 'mine' }).operatorToken()).toBe('mine')
  })

  it('may come from a file', async () => {
    const path = join(data, 'token')
    await writeFile(path, 'from a file\n')
    const env = { DSLOG_OPERATOR_TOKEN_FILE: path }
    expect(await session({}, env).operatorToken()).toBe('from a file')
  })
})

describe('the policy', () => {
  it('is the one named', async () => {
    const vkey = formatVkey(namedKey('log.example'))
    const path = join(data, 'trusted')
    await writeFile(path, `log ${vkey}\nquorum none\n`)
    const { logs } = await session({ log: 'https://log.example', policy: path }).policy()
    expect(logs.map(({ key }) => key.name)).toEqual(['log.example'])
  })

  it('is that of the folder, for the log of the folder alone', async () => {
    const key = await prepareFolder(data)
    expect((await session().policy()).logs[0]!.key.id).toBe(key.id)
    const named = session({ log: 'https://log.example' }).policy()
    await expect(named).rejects.toMatchObject({ exitCode: 2 })
    const env = { DSLOG_LOG: 'https://log.example' }
    await expect(session({}, env).policy()).rejects.toMatchObject({ exitCode: 2 })
  })

  it('is never made up', async () => {
    await expect(session().policy()).rejects.toMatchObject({ exitCode: 2 })
  })

  it('that is none is a mistake of the caller', async () => {
    const path = join(data, 'broken')
    await writeFile(path, 'log nonsense\n')
    await expect(session({ policy: path }).policy()).rejects.toMatchObject({
      exitCode: 2,
      message: expect.stringMatching(/broken: not a policy: line 1/),
    })
  })
})

describe('trust anchors', () => {
  it("are the root's unless a file is named", async () => {
    expect(await session().anchors()).toBe(ROOT_ANCHORS)
    const path = join(data, 'anchors')
    await writeFile(path, `. DS 1 13 2 ${'ab'.repeat(32)} 2024-01-01\n`)
    const named = await session({ anchors: path }).anchors()
    expect(named.map(({ tag }) => tag)).toEqual([1])
    expect(await session({}, { DSLOG_ANCHORS: path }).anchors()).toEqual(named)
  })

  it('are those of the services that a command runs, too', () => {
    expect(session({ anchors: '/x' }).serviceEnv()).toMatchObject({ DSLOG_ANCHORS: '/x' })
    const env = { DSLOG_ANCHORS: '/y' }
    expect(session({}, env).serviceEnv()).toMatchObject({ DSLOG_ANCHORS: '/y' })
    expect(session().serviceEnv()).not.toHaveProperty('DSLOG_ANCHORS')
  })

  it('that are none are a mistake of the caller', async () => {
    const path = join(data, 'anchors')
    await writeFile(path, 'nonsense\n')
    await expect(session({ anchors: path }).anchors()).rejects.toMatchObject({ exitCode: 2 })
  })
})
