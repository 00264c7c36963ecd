import { describe, expect, it } from 'vitest'
import { pagesOf } from '@dslog/service/pages'

const ROWS = [1, 2, 3, 4]

/** What is read of so many at a time, and behind what each page was asked for. */
async function read(limit: number) {
  const asked: (number | undefined)[] = []
  const pages: (readonly number[])[] = []
  const all = pagesOf(async (last: number | undefined) => {
    asked.push(last)
    return ROWS.filter((row) => row > (last ?? 0)).slice(0, limit)
  })
  for await (const page of all) pages.push(page)
  return { asked, pages }
}

describe('pages', () => {
  it('hold every row once, each page behind the last row of the one before', async () => {
    expect(await read(3)).toEqual({ asked: [undefined, 3, 4], pages: [[1, 2, 3], [4]] })
    expect(await read(2)).toEqual({
      asked: [undefined, 2, 4],
      pages: [
        [1, 2],
        [3, 4],
      ],
    })
  })

  it('are none where there is nothing', async () => {
    expect(await read(0)).toEqual({ asked: [undefined], pages: [] })
  })
})
