/** On the way to the log: batches, answers to each, a log that is busy, away, or says no. */
import { once } from 'node:events'
import { describe, expect, test } from 'vitest'
import { TlogError } from '@dslog/tlog/error'
import type { Observation, SubmitResult } from '@dslog/schema/api'
import { silent } from '../../../test/silent.ts'
import { SubmitError, Submitter } from '../src/submit.ts'

type Answer = (
  observations: readonly Observation[],
  signal: AbortSignal,
) => SubmitResult[] | Promise<SubmitResult[]>

/** A log that answers as it is told, and the waits of whoever submits to it. */
function log(answer: Answer) {
  const requests: number[] = []
  const waits: number[] = []
  const submitter = new Submitter({
    api: {
      submit: async (observations, signal) => {
        requests.push(observations.length)
        return answer(observations, signal!)
      },
    },
    clock: () => 1000,
    logger: silent,
    sleep: async (ms) => void waits.push(ms),
  })
  return { requests, submitter, waits }
}

/** A message of the greatest length there is, in base64. */
const LARGEST = 'A'.repeat((65_536 / 3) * 4)

const observation = (i: number): Observation => ({ owner: `${i}.example.`, messages: [] })
const logged: Answer = (observations) =>
  observations.map(({ owner }) => ({ status: 'logged', index: Number.parseInt(owner, 10) }))
const many = (submitter: Submitter, count: number) =>
  Promise.all(Array.from({ length: count }, (_, i) => submitter.submit(observation(i))))

describe('observations', () => {
  test('go together, and each gets its own answer', async () => {
    const { requests, submitter } = log(logged)
    const results = await many(submitter, 1000)
    expect(results.map(({ index }) => index)).toEqual(Array.from({ length: 1000 }, (_, i) => i))
    expect(requests.toSorted((a, b) => b - a)).toEqual([400, 400, 200])
    expect(submitter.waiting).toBe(0)
  })

  test('that belong together go in their order', async () => {
    const { requests, submitter } = log(logged)
    const all = Array.from({ length: 900 }, (_, i) => observation(i))
    const results = await submitter.submitAll(all)
    expect(results.map(({ index }) => index)).toEqual(all.map((_, i) => i))
    expect(requests).toEqual([900])
  })

  test('wait for a log that is away, for a while', async () => {
    let left = 3
    const { requests, submitter, waits } = log((...request) => {
      if (left-- > 0) throw new TlogError('network', 'no connection')
      return logged(...request)
    })
    expect(await submitter.submit(observation(5))).toEqual({ status: 'logged', index: 5 })
    expect(requests).toHaveLength(4)
    expect(waits).toEqual([2000, 4000, 8000])
    expect(submitter.silentSince).toBeUndefined()
  })

  test('fail if it stays away, and say so', async () => {
    const { requests, submitter } = log(() => {
      throw new TlogError('network', 'no connection')
    })
    await expect(submitter.submit(observation(1))).rejects.toThrow(SubmitError)
    expect(requests).toHaveLength(4)
    expect(submitter.silentSince).toBe(1000)
    expect(submitter.waiting).toBe(0)
  })

  test('are not sent again after a no', async () => {
    const { requests, submitter } = log(() => {
      throw new TlogError('http', 'no', { status: 413 })
    })
    await expect(submitter.submit(observation(1))).rejects.toThrow(SubmitError)
    expect(requests).toHaveLength(1)
  })

  test('that the log cannot read take no others with them', async () => {
    const { requests, submitter } = log((observations, signal) => {
      if (observations.some(({ owner }) => owner === '77.example.')) {
        throw new TlogError('http', 'no', { status: 400 })
      }
      return logged(observations, signal)
    })
    const results = await Promise.allSettled(
      Array.from({ length: 400 }, (_, i) => submitter.submit(observation(i))),
    )
    const failed = results.flatMap(({ status }, i) => (status === 'rejected' ? [i] : []))
    expect(failed).toEqual([77])
    // Halves of halves: some requests more, not one for each.
    expect(requests.length).toBeLessThan(20)
    expect(submitter.waiting).toBe(0)
  })

  test('are enough when there are thousands, or some large ones', async () => {
    let answer = (): void => {}
    const held = new Promise<void>((resolve) => (answer = resolve))
    const { submitter } = log(async (...request) => {
      await held
      return logged(...request)
    })
    const all = [many(submitter, 3999)]
    expect(submitter.isFull).toBe(false)
    all.push(many(submitter, 1))
    expect(submitter.isFull).toBe(true)
    answer()
    await Promise.all(all)
    expect(submitter.isFull).toBe(false)
    const large = { owner: 'large.example.', messages: Array.from({ length: 3 }, () => LARGEST) }
    const waiting = Array.from({ length: 260 }, () => submitter.submit(large).catch(() => {}))
    expect(submitter.isFull).toBe(true)
    await submitter.stop()
    await Promise.all(waiting)
    expect(submitter.isFull).toBe(false)
  })
})

describe('a stop', () => {
  test('waits for the answers to what is on its way, and sends what waits', async () => {
    const { submitter } = log(logged)
    const results = many(submitter, 3)
    await submitter.stop()
    expect((await results).map(({ status }) => status)).toEqual(['logged', 'logged', 'logged'])
    await expect(submitter.submit(observation(4))).rejects.toThrow(SubmitError)
  })

  test('of a log that never answers can be forced', async () => {
    const { requests, submitter, waits } = log(async (_, signal) => {
      await once(signal, 'abort')
      throw new TlogError('network', 'given up')
    })
    const results = Promise.allSettled(
      Array.from({ length: 400 }, (_, i) => submitter.submit(observation(i))),
    )
    expect(requests).toEqual([400])
    await submitter.stop(true)
    for (const result of await results) {
      expect(result).toMatchObject({ status: 'rejected', reason: expect.any(SubmitError) })
    }
    expect([requests, waits]).toEqual([[400], []])
  })
})
