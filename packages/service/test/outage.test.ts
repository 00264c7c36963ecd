/** What is done about a database that is away for a while. */
import { describe, expect, it } from 'vitest'
import { DatabaseError } from '@dslog/service/database-error'
import { allOf, isOutage, pause, pauseAfter, rideOut } from '@dslog/service/outage'

const away = new DatabaseError('away', 'gone')
const busy = new DatabaseError('busy', 'full')

/** Work that fails with each of these, then answers. */
function failing(errors: readonly unknown[]) {
  const left = [...errors]
  const work = async (): Promise<string> => {
    if (left.length > 0) throw left.shift()
    return 'done'
  }
  return { work, left }
}

describe('an outage', () => {
  it('is a database that is away or busy, and nothing else', () => {
    expect([away, busy].every(isOutage)).toBe(true)
    const others = [new Error('away'), new DatabaseError('held', ''), undefined, 'away']
    expect(others.some(isOutage)).toBe(false)
  })

  it('is ridden out: what it kept from its end is done again, at longer and longer intervals', async () => {
    const { left, work } = failing([away, busy, away, away, away, away, away])
    const pauses: number[] = []
    const wait = async (ms: number): Promise<void> => void pauses.push(ms)
    expect(await rideOut(work, new AbortController().signal, wait)).toBe('done')
    expect(left).toEqual([])
    for (const [i, ms] of pauses.entries()) {
      const longest = Math.min(1_000 * 2 ** i, 30_000)
      expect(ms).toBeGreaterThanOrEqual(longest / 2)
      expect(ms).toBeLessThanOrEqual(longest)
    }
  })

  it('is no longer than the first pause and the longest allow', () => {
    expect([1, 2, 5, 6, 100, 2_000].map((failures) => pauseAfter(failures, () => 1))).toEqual([
      1_000, 2_000, 16_000, 30_000, 30_000, 30_000,
    ])
    expect(pauseAfter(1, () => 0)).toBe(500)
  })

  it('hides nothing else', async () => {
    const { left, work } = failing([away, new Error('broken'), away])
    const wait = async (): Promise<void> => {}
    await expect(rideOut(work, new AbortController().signal, wait)).rejects.toThrow('broken')
    expect(left).toHaveLength(1)
  })

  it('ends with the signal, during a pause or before', async () => {
    const ending = new AbortController()
    const riding = rideOut(() => Promise.reject(away), ending.signal, pause)
    ending.abort()
    await expect(riding).rejects.toBe(away)
    await expect(rideOut(() => Promise.reject(away), ending.signal)).rejects.toBe(away)
  })
})

describe('several pieces of work', () => {
  it('are all waited for before the failure of one is told', async () => {
    let ended = false
    const slow = new Promise<void>((resolve) => {
      setTimeout(() => {
        ended = true
        resolve()
      }, 20)
    })
    await expect(allOf([Promise.reject(away), slow])).rejects.toBe(away)
    expect(ended).toBe(true)
    await allOf([])
    await allOf([slow])
  })

  it('are a fault if one of them is, whatever the database does to the others', async () => {
    const fault = new Error('broken')
    await expect(allOf([Promise.reject(away), Promise.reject(fault)])).rejects.toBe(fault)
  })
})
