import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it, onTestFinished } from 'vitest'
import { Ticker, systemClock } from '@dslog/service/clock'
import type { TickerOptions } from '@dslog/service/clock'

/** A ticker on a clock that the test moves; `turn` moves it and lets the ticker look. */
function ticking(options: Partial<TickerOptions> = {}) {
  let now = 1_000_000
  const runs: number[] = []
  const errors: unknown[] = []
  const ticker = new Ticker({
    interval: 10_000,
    clock: () => now,
    run: () => void runs.push(now),
    onError: (error) => void errors.push(error),
    ...options,
  })
  // One that has failed says so to the test.
  onTestFinished(() => ticker.stop().catch(() => {}))
  return {
    ticker,
    runs,
    errors,
    set: (time: number) => (now = time),
    pass: (ms: number) => (now += ms),
  }
}

describe('Ticker', () => {
  it('runs when its clock says so, not the machine’s', async () => {
    const { runs, pass } = ticking()
    pass(9_999)
    await sleep(1_100)
    expect(runs).toEqual([])
    pass(1)
    await expect.poll(() => runs).toEqual([1_010_000])
    // Much time at once is one run: what was missed is not made up for.
    pass(1_000_000)
    await expect.poll(() => runs).toEqual([1_010_000, 2_010_000])
  })

  it('starts at once when told, and is due when poked', async () => {
    const { ticker, runs } = ticking({ immediately: true })
    await expect.poll(() => runs.length).toBe(1)
    ticker.poke()
    await expect.poll(() => runs.length).toBe(2)
    await ticker.stop()
    ticker.poke()
    await sleep(20)
    expect(runs.length).toBe(2)
  })

  it('survives a clock that is set back', async () => {
    const { runs, pass, set } = ticking()
    set(0)
    // It has to see the clock before it moves on.
    await sleep(1_100)
    pass(10_000)
    await expect.poll(() => runs).toEqual([10_000])
  })

  it('never overlaps, waits for the run when stopped, and tells the run', async () => {
    let runs = 0
    let running = 0
    let most = 0
    let aborted = false
    const { ticker } = ticking({
      immediately: true,
      interval: 0,
      run: async (signal) => {
        most = Math.max(most, ++running)
        await (++runs < 5
          ? sleep(5)
          : new Promise((resolve) => signal.addEventListener('abort', resolve)))
        aborted = signal.aborted
        running--
      },
    })
    ticker.poke()
    await expect.poll(() => runs).toBe(5)
    await ticker.stop()
    expect([running, most, aborted, runs]).toEqual([0, 1, true, 5])
  })

  it('goes on after an error, unless the error is thrown on', async () => {
    let count = 0
    const { ticker, errors } = ticking({
      immediately: true,
      interval: 0,
      run: () => {
        count++
        throw new Error(`run ${count}`)
      },
    })
    await expect.poll(() => errors.length).toBeGreaterThan(2)
    await ticker.stop()

    const failing = ticking({
      immediately: true,
      run: () => {
        throw new Error('fatal')
      },
      onError: (error) => {
        throw error
      },
    })
    await expect(failing.ticker.done).rejects.toThrow('fatal')
    await expect(failing.ticker.stop()).rejects.toThrow('fatal')
  })

  it('spreads its intervals', async () => {
    const draws = [0, 1, 0.5]
    const { runs, pass } = ticking({ jitter: 0.3, random: () => draws.shift() ?? 0.5 })
    pass(7_000)
    await expect.poll(() => runs).toEqual([1_007_000])
    pass(12_999)
    await sleep(1_100)
    expect(runs.length).toBe(1)
    pass(1)
    await expect.poll(() => runs.length).toBe(2)
  })
})

it('reads the machine’s clock in milliseconds', () => {
  expect(systemClock()).toBeGreaterThan(Date.UTC(2025, 0))
})
