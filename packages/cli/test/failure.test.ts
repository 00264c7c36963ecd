import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { TlogError } from '@dslog/tlog/error'
import { MisbehaviourError } from '@dslog/tlog/misbehaviour'
import { DnssecError } from '@dslog/dnssec/error'
import { EntryError } from '@dslog/schema/error'
import { LogError } from '@dslog/log/error'
import { MonitorError } from '@dslog/monitor/error'
import { ConfigError } from '@dslog/service/config'
import { DatabaseError, EmbeddedLocked } from '@dslog/service/database-error'
import { writeFileAtomic } from '@dslog/service/files'
import { Problem } from '@dslog/service/problem'
import { VerifyError } from '@dslog/verify/error'
import { EXIT, exitCodeOf, Failure, messageOf, naming, serviceExitCodeOf } from '../src/failure.ts'

const errno = (code: string, path = '/x') =>
  Object.assign(new Error(`${code}: some words, open '${path}'`), { code, path })

describe('exit codes', () => {
  const notes = { seen: '', served: '' }
  it.each([
    [new Failure(EXIT.usage, 'x'), 2],
    [new MisbehaviourError({ kind: 'rollback', evidence: notes }, 'x'), 1],
    [new TlogError('bad-proof', 'x'), 1],
    [new TlogError('quorum', 'x'), 1],
    [new TlogError('bad-tile', 'x'), 1],
    [new TlogError('network', 'x'), 3],
    [new TlogError('too-large', 'x'), 3],
    [new TlogError('late', 'x'), 3],
    [new TlogError('http', 'x', { status: 503 }), 3],
    [new TlogError('bad-url', 'x'), 2],
    [new VerifyError('bogus', 'x'), 1],
    [new DnssecError('expired', 'x'), 1],
    [new EntryError('too-large', 'x'), 1],
    [new ConfigError(['x']), 2],
    [new LogError('missing', 'x'), 3],
    [new MonitorError('policy', 'x'), 2],
    [new MonitorError('corrupt', 'x'), 3],
    [new DatabaseError('held', 'x'), 3],
    [new EmbeddedLocked('/x', 1, ''), 3],
    [new Problem('unavailable', 'x'), 3],
    [errno('ENOENT'), 2],
    [errno('EACCES'), 2],
    [errno('EISDIR'), 2],
    [errno('EROFS'), 2],
    [errno('ENOSPC'), 3],
    [errno('EADDRINUSE'), 3],
    [errno('ECONNREFUSED'), 3],
    [Object.assign(new Error('no role'), { code: '28000', severity: 'FATAL' }), 3],
  ])('%s is %i', (error, code) => {
    expect(exitCodeOf(error)).toBe(code)
  })

  it.each([new TypeError('x'), new RangeError('x'), new Error('x'), 'x', undefined])(
    'has none for a bug: %s',
    (error) => expect(exitCodeOf(error)).toBeUndefined(),
  )
})

describe('naming a file', () => {
  const failing = (error: Error) =>
    naming('some/file', () => {
      throw error
    })

  it('is done where what is in it does not hold', async () => {
    const error = failing(new TlogError('bad-proof', 'too short'))
    await expect(error).rejects.toMatchObject({ exitCode: 1, message: 'some/file: too short' })
    await expect(naming('some/file', () => 1)).resolves.toBe(1)
  })

  it.each([
    new Failure(EXIT.unverified, 'says so itself'),
    new TlogError('network', 'no answer'),
    errno('ENOENT'),
    new TypeError('a bug'),
  ])('is not where something else is wrong: %s', async (error) => {
    await expect(failing(error)).rejects.toBe(error)
  })
})

describe('exit codes of a service', () => {
  it.each([
    // An hour without PostgreSQL is over some time.
    [errno('ECONNREFUSED'), 3],
    [new DatabaseError('held', 'x'), 3],
    [new DatabaseError('standby', 'x'), 3],
    [new LogError('fenced', 'x'), 3],
    [new LogError('unwitnessed', 'x'), 3],
    [new MonitorError('fenced', 'x'), 3],
    [new TypeError('x'), 3],
    // A log that must not sign does not become one that may.
    [new LogError('behind', 'x'), 4],
    [new LogError('forked', 'x'), 4],
    [new LogError('corrupt', 'x'), 4],
    [new LogError('signer', 'x'), 4],
    [new LogError('key', 'x'), 4],
    [new MonitorError('corrupt', 'x'), 4],
    [new MonitorError('policy', 'x'), 2],
    [new ConfigError(['x']), 2],
  ])('%s is %i', (error, code) => {
    expect(serviceExitCodeOf(error)).toBe(code)
  })
})

describe('messages', () => {
  it('name the file first', () => {
    expect(messageOf(errno('ENOENT', '/some/file'))).toBe('/some/file: some words')
  })

  it('name the place that a file was meant for', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'dslog-failure-'))
    try {
      const error: unknown = await writeFileAtomic(folder, 'x').catch((thrown: unknown) => thrown)
      expect(messageOf(error)).toBe(`${folder}: is a folder`)
      expect(exitCodeOf(error)).toBe(EXIT.usage)
    } finally {
      await rm(folder, { recursive: true })
    }
  })

  it('name who has a folder', () => {
    const error = new EmbeddedLocked('/srv/log', 42, '{"pid":42}')
    expect(messageOf(error)).toBe('/srv/log is in use by process 42')
  })

  it('are one line', () => {
    expect(messageOf(new Error('one\n  two\nthree'))).toBe('one; two; three')
  })

  it('cannot write to the terminal what a server wants', () => {
    expect(messageOf(new Error('a\u001B[2Jb\u0007'))).toBe('a\uFFFD[2Jb\uFFFD')
  })

  it('say at least the code', () => {
    // What a refused connection to several addresses looks like.
    const error = Object.assign(new Error('x'), { message: '', code: 'ECONNREFUSED' })
    expect(messageOf(error)).toBe('ECONNREFUSED')
  })

  it('of what is no error are its text', () => {
    expect(messageOf('x')).toBe('x')
  })
})
