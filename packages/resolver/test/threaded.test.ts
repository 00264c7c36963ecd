/** Signatures on threads: the verdicts of the thread that asks, also when threads die. */
import { generateKeyPairSync, sign } from 'node:crypto'
import { Worker } from 'node:worker_threads'
import { ALGORITHM } from '@dslog/dnssec/backend/backend'
import { nodeBackend } from '@dslog/dnssec/backend/node'
import { type ThreadedBackend, threadedBackend } from '@dslog/resolver/threaded'
import { startThread } from '@dslog/service/thread'
import { afterEach, describe, expect, it } from 'vitest'

type Question = readonly [
  algorithm: number,
  publicKey: Uint8Array,
  data: Uint8Array,
  signature: Uint8Array,
]

const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const rsa = generateKeyPairSync('rsa', { modulusLength: 1024 })

function bytesOf(...texts: (string | undefined)[]): Uint8Array {
  return new Uint8Array(Buffer.concat(texts.map((text) => Buffer.from(text!, 'base64url'))))
}

function questionOf(i: number): Question {
  const data = new Uint8Array(i).fill(i)
  if (i % 4 === 0) {
    const { e, n } = rsa.publicKey.export({ format: 'jwk' })
    const signature = new Uint8Array(sign('sha256', data, rsa.privateKey))
    return [ALGORITHM.RSASHA256, Uint8Array.of(3, ...bytesOf(e, n)), data, signature]
  }
  const { x, y } = ec.publicKey.export({ format: 'jwk' })
  const key = { key: ec.privateKey, dsaEncoding: 'ieee-p1363' } as const
  const signature = new Uint8Array(sign('sha256', data, key))
  return [ALGORITHM.ECDSAP256SHA256, bytesOf(x, y), data, signature]
}

/** Good ones, and what is wrong in each way: of signatures, data, keys, lengths and algorithms. */
const questions = Array.from({ length: 200 }, (_, i): Question => {
  const [algorithm, key, data, signature] = questionOf(i)
  const other = (bytes: Uint8Array): Uint8Array => bytes.with(-1, bytes.at(-1)! ^ 1)
  switch (i % 14) {
    case 1:
      return [algorithm, key, data, other(signature)]
    case 2:
      return [algorithm, key, other(data), signature]
    case 3:
      return [algorithm, other(key), data, signature]
    case 5:
      return [algorithm, key, data, signature.subarray(1)]
    case 6:
      return [algorithm, new Uint8Array(), data, new Uint8Array()]
    case 7:
      return [200, key, data, signature]
    default:
      return [algorithm, key, data, signature]
  }
})

const opened: ThreadedBackend[] = []
afterEach(async () => {
  for (const backend of opened.splice(0)) await backend.close()
})

function open(options: Parameters<typeof threadedBackend>[0]): ThreadedBackend {
  const backend = threadedBackend(options)
  opened.push(backend)
  return backend
}

const start = (): Worker =>
  startThread('../src/threaded-worker', import.meta.url, { name: 'dslog-verifier' })

/** Takes work, and is gone. */
const dying = (): Worker =>
  new Worker(`require('node:worker_threads').parentPort.once('message', () => process.exit(3))`, {
    eval: true,
  })

/** Takes work, and does not do it. */
const deaf = (): Worker =>
  new Worker(`require('node:worker_threads').parentPort.on('message', () => {})`, { eval: true })

/** Asks for all at once. */
function ask(backend: ThreadedBackend): Promise<boolean[]> {
  return Promise.all(questions.map((question) => backend.verify(...question)))
}

async function verdictsHere(): Promise<boolean[]> {
  const backend = nodeBackend()
  return Promise.all(questions.map((question) => backend.verify(...question)))
}

describe('threads that verify', () => {
  it('say what the thread that asks says, of good signatures and bad', async () => {
    let started = 0
    const counting = (): Worker => {
      started++
      return start()
    }
    const verdicts = await ask(open({ threads: 3, start: counting }))
    expect(verdicts).toEqual(await verdictsHere())
    expect([verdicts.filter(Boolean).length, started]).toEqual([113, 2])
  })

  it('are one fewer than the machine runs at a time, and four at most', async () => {
    let started = 0
    const counting = (): Worker => {
      started++
      return start()
    }
    await ask(open({ threads: 64, start: counting }))
    expect(started).toBe(4)
    await ask(open({ start: counting }))
    expect(started).toBeLessThanOrEqual(8)
  })

  it('are not started for what is asked one after another, nor where they are of no use', async () => {
    const start = (): Worker => {
      throw new Error('a thread is started')
    }
    const verdicts: boolean[] = []
    const backend = open({ threads: 2, start })
    for (const question of questions) verdicts.push(await backend.verify(...question))
    expect(verdicts).toEqual(await verdictsHere())
    expect(await ask(open({ threads: 1, start }))).toEqual(verdicts)
  })

  it('verify what is asked while they are at work', async () => {
    const backend = open({ threads: 2 })
    const asked: Promise<boolean>[] = []
    for (const question of questions) {
      asked.push(backend.verify(...question))
      await new Promise(setImmediate)
    }
    expect(await Promise.all(asked)).toEqual(await verdictsHere())
  })
})

describe('the thread that asks', () => {
  it('verifies what the others have no room for', async () => {
    const backend = open({ threads: 2, start: deaf })
    const verdicts = new Map<number, boolean>()
    const asked = questions.map(async (question, i) => {
      const isValid = await backend.verify(...question)
      verdicts.set(i, isValid)
      return isValid
    })
    const here = await verdictsHere()
    // The other one has four times sixteen before it, the first ones, and says nothing.
    await expect.poll(() => verdicts.size).toBe(questions.length - 64)
    expect([...verdicts]).toEqual(here.map((isValid, i) => [i, isValid]).slice(64))
    await backend.close()
    expect(await Promise.all(asked)).toEqual(here)
  })
})

describe('a thread that dies', () => {
  it('is replaced, and another one verifies what it had', async () => {
    const deaths: string[] = []
    let started = 0
    const frail = open({
      threads: 2,
      start: () => (started++ === 0 ? dying() : start()),
      onDeath: ({ message }) => deaths.push(message),
    })
    expect(await ask(frail)).toEqual(await verdictsHere())
    expect(deaths).toEqual(['exit code 3'])
  })

  it('takes no third one along: what killed two is verified where it is asked', async () => {
    const deaths: string[] = []
    const doomed = open({
      threads: 2,
      start: dying,
      onDeath: ({ message }) => deaths.push(message),
    })
    expect(await ask(doomed)).toEqual(await verdictsHere())
    expect(deaths.length).toBeGreaterThanOrEqual(2)
  })

  it('at the end loses nothing of what it had', async () => {
    const ending = open({ threads: 2 })
    const asked = ask(ending)
    await new Promise(setImmediate)
    await ending.close()
    expect(await asked).toEqual(await verdictsHere())
    expect(await ask(ending)).toEqual(await verdictsHere())
  })
})
