import { setImmediate as turn } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { Gather } from '../src/gather.ts'

/** A store whose answers come when they are let go. */
function slow() {
  const asked: (readonly number[])[] = []
  const open: (() => void)[] = []
  const gather = new Gather<number, string>(async (keys) => {
    asked.push(keys)
    await new Promise<void>((resolve) => open.push(resolve))
    if (keys.includes(13)) throw new Error('thirteen')
    return keys.map((key) => `value ${key}`)
  })
  return { asked, gather, letGo: () => open.shift()!() }
}

describe('questions', () => {
  test('go together in one turn, and while others are on their way', async () => {
    const { asked, gather, letGo } = slow()
    const answers = [1, 2].map((key) => gather.ask(key))
    expect(asked).toEqual([])
    await turn()
    expect(asked).toEqual([[1, 2]])
    answers.push(gather.ask(3))
    await turn()
    for (const key of [4, 5]) answers.push(gather.ask(key))
    await turn()
    expect(asked).toEqual([[1, 2], [3]])
    letGo()
    expect(await answers[0]).toBe('value 1')
    await turn()
    expect(asked).toEqual([[1, 2], [3], [4, 5]])
    letGo()
    letGo()
    expect(await Promise.all(answers)).toEqual([1, 2, 3, 4, 5].map((key) => `value ${key}`))
  })

  test('fail with their batch, and those after them do not', async () => {
    const { asked, gather, letGo } = slow()
    const answers: Promise<string>[] = []
    for (const key of [12, 13, 14]) {
      answers.push(gather.ask(key).catch(String))
      await turn()
    }
    letGo()
    letGo()
    expect(await answers[0]).toBe('value 12')
    expect(await answers[1]).toBe('Error: thirteen')
    await expect.poll(() => asked.length).toBe(3)
    letGo()
    expect(await answers[2]).toBe('value 14')
  })

  test('are so many at a time and no more', async () => {
    const sizesOf = async (count: number, most?: number): Promise<number[]> => {
      const sizes: number[] = []
      const gather = new Gather<number, number>(async (keys) => {
        sizes.push(keys.length)
        return keys
      }, most)
      const keys = Array.from({ length: count }, (_, i) => i)
      expect(await Promise.all(keys.map((key) => gather.ask(key)))).toEqual(keys)
      return sizes
    }
    expect(await sizesOf(1_000)).toEqual([256, 256, 256, 232])
    expect(await sizesOf(20, 8)).toEqual([8, 8, 4])
  })
})
