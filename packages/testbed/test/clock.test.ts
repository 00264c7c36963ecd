/** The clocks that tests and the demo run on. */
import { describe, expect, test } from 'vitest'
import { HOUR } from '@dslog/schema/time'
import { RunningClock, TEST_EPOCH, TestClock } from '../src/clock.ts'

describe('a clock set by hand', () => {
  test('stands still until it is told to go on', () => {
    const clock = new TestClock()
    expect(clock.now()).toBe(TEST_EPOCH)
    expect(clock.advance(HOUR)).toBe(TEST_EPOCH + HOUR)
    expect(clock.now()).toBe(TEST_EPOCH + HOUR)
    expect(() => clock.advance(-1)).toThrow(RangeError)
    expect(() => clock.advance(Number.NaN)).toThrow(RangeError)
  })

  test('can be put anywhere, and is handed on as a function', () => {
    const clock = new TestClock()
    const { now } = clock
    clock.set(5)
    expect(now()).toBe(5)
  })
})

describe('a clock that runs', () => {
  test('runs behind the machine’s, and can be put forward up to it', () => {
    const clock = new RunningClock(2 * HOUR)
    const expectBehind = (ms: number): void => {
      const behind = Date.now() - clock.now()
      expect(behind).toBeGreaterThanOrEqual(ms)
      expect(behind).toBeLessThan(ms + 1_000)
    }
    expectBehind(2 * HOUR)
    clock.advance(HOUR)
    expectBehind(HOUR)
    expect(clock.behind).toBe(HOUR)
    clock.advance(HOUR)
    expectBehind(0)
  })

  test('goes neither back nor past the machine’s', () => {
    const clock = new RunningClock(HOUR)
    expect(() => clock.advance(-1)).toThrow(RangeError)
    expect(() => clock.advance(HOUR + 1)).toThrow(RangeError)
    expect(() => clock.advance(Number.NaN)).toThrow(RangeError)
    expect(() => clock.set(clock.now() - HOUR)).toThrow(RangeError)
    expect(clock.behind).toBe(HOUR)
  })

  test('is handed on as a function', () => {
    const { now } = new RunningClock(0)
    expect(Math.abs(Date.now() - now())).toBeLessThan(1_000)
  })
})
