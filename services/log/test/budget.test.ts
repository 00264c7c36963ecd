import { describe, expect, test } from 'vitest'
import { ALGORITHM, type SignatureBackend } from '@dslog/dnssec/backend/backend'
import { DAY, HOUR } from '@dslog/schema/time'
import { TestClock } from '@dslog/testbed/clock'
import { FULL_BUDGET_MS, MAX_SOURCES, REFILL_MS_PER_SECOND, VerifyBudget } from '../src/budget.ts'

const nothing = new Uint8Array(0)
const refusing: SignatureBackend = { verify: async () => false, digest: () => nothing }

function made(): { budget: VerifyBudget; clock: TestClock } {
  const clock = new TestClock()
  return { budget: new VerifyBudget(clock.now), clock }
}

/** Verifies signatures for a source until it has nothing left; returns how many. */
async function spend(budget: VerifyBudget, source: string, algorithm: number): Promise<number> {
  const backend = budget.purse(source).paying(refusing)
  let count = 0
  let accepted = false
  while (budget.purse(source).left > 0) {
    accepted ||= await backend.verify(algorithm, nothing, nothing, nothing)
    count++
  }
  expect(accepted).toBe(false)
  return count
}

describe('a budget for verification', () => {
  test('is spent by signatures that do not verify, sooner by dear ones', async () => {
    const { budget } = made()
    const p256 = await spend(budget, 'a', ALGORITHM.ECDSAP256SHA256)
    const p384 = await spend(budget, 'b', ALGORITHM.ECDSAP384SHA384)
    const rsa = await spend(budget, 'c', ALGORITHM.RSASHA256)
    expect(p256).toBeGreaterThan(FULL_BUDGET_MS)
    expect(p384).toBeLessThan(p256 / 5)
    expect(rsa).toBeGreaterThan(p256)
  })

  test('is spent by reading too, whatever comes of it', async () => {
    const { budget } = made()
    budget.purse('a').payReading(1_000_000)
    const all = await spend(budget, 'b', ALGORITHM.ED25519)
    const left = await spend(budget, 'a', ALGORITHM.ED25519)
    expect(left / all).toBeCloseTo(1 - 200 / FULL_BUDGET_MS, 2)
    // 8 MiB in one observation are a debt of more than a second.
    budget.purse('a').payReading(8 * 2 ** 20)
    expect(budget.purse('a').left).toBeLessThanOrEqual(0)
    expect(budget.retryAfter('a')).toBeGreaterThan(6)
  })

  test('is each source’s own', async () => {
    const { budget } = made()
    await spend(budget, 'a', ALGORITHM.ED448)
    expect(budget.purse('a').left).toBeLessThanOrEqual(0)
    expect(budget.purse('b').left).toBeGreaterThan(0)
  })

  test('grows back with time, up to its measure', async () => {
    const { budget, clock } = made()
    const full = await spend(budget, 'a', ALGORITHM.ED25519)
    expect(budget.retryAfter('a')).toBeGreaterThanOrEqual(1)
    clock.advance(budget.retryAfter('a') * 1000)
    expect(budget.purse('a').left).toBeGreaterThan(0)
    expect(budget.retryAfter('a')).toBe(0)
    await spend(budget, 'a', ALGORITHM.ED25519)
    clock.advance(1000)
    const second = await spend(budget, 'a', ALGORITHM.ED25519)
    expect(second / full).toBeCloseTo(REFILL_MS_PER_SECOND / FULL_BUDGET_MS, 2)
    clock.advance(365 * DAY)
    expect(await spend(budget, 'a', ALGORITHM.ED25519)).toBe(full)
  })

  test('does not shrink when the clock goes back', async () => {
    const { budget, clock } = made()
    expect(budget.purse('a').left).toBeGreaterThan(0)
    clock.set(clock.now() - HOUR)
    expect(budget.purse('a').left).toBeGreaterThan(0)
    expect(await spend(budget, 'a', ALGORITHM.ED448)).toBeGreaterThan(1000)
  })

  test('forgets the sources that were not seen for longest', async () => {
    const { budget } = made()
    await spend(budget, 'first', ALGORITHM.ED448)
    await spend(budget, 'second', ALGORITHM.ED448)
    for (let i = 0; i < MAX_SOURCES - 1; i++) budget.purse(`source ${i}`)
    expect(budget.purse('second').left).toBeLessThanOrEqual(0)
    expect(budget.purse('first').left).toBeGreaterThan(0)
  })

  test('leaves digests free', async () => {
    const { budget } = made()
    const backend = budget.purse('a').paying(refusing)
    for (let i = 0; i < 100; i++) await backend.digest(2, nothing)
    const { budget: fresh } = made()
    expect(await spend(budget, 'a', ALGORITHM.ED448)).toBe(await spend(fresh, 'a', ALGORITHM.ED448))
  })
})
