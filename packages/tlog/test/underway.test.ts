import { expect, test } from 'vitest'
import { UnderWay } from '../src/underway.ts'

test('what is on its way is begun once, and again when it has ended, well or not', async () => {
  const works = new UnderWay<string, number>()
  let begun = 0
  const next = async (): Promise<number> => {
    begun++
    await Promise.resolve()
    if (begun === 2) throw new Error('failed')
    return begun
  }
  const ask = (key: string): Promise<number> => works.once(key, next)
  expect(await Promise.all([ask('a'), ask('a'), ask('a')])).toEqual([1, 1, 1])
  const failing = await Promise.allSettled([ask('a'), ask('a')])
  expect(failing.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
  expect(await ask('a')).toBe(3)
  expect(await Promise.all([ask('a'), ask('b')])).toEqual([5, 5])
  expect(begun).toBe(5)
})
