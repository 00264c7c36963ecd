/** What is done together, and when. */
import { Batch } from '@dslog/service/batch'
import { describe, expect, it } from 'vitest'

/** A batch whose time comes when it is told. */
function batchOf(work: (item: number) => void) {
  const soon: (() => void)[] = []
  const batch = new Batch<number>((later) => soon.push(later), work)
  return { batch, soon }
}

describe('a batch', () => {
  it('does all that came up, in order, and asks for its time once', () => {
    const did: number[] = []
    const { batch, soon } = batchOf((item) => did.push(item))
    for (const item of [1, 2, 3]) batch.add(item)
    expect([did, soon.length, batch.size]).toEqual([[], 1, 3])
    soon[0]!()
    expect(batch.size).toBe(0)
    expect(did).toEqual([1, 2, 3])
    soon[0]!()
    expect(did).toEqual([1, 2, 3])
  })

  it('leaves what its own work brings up for another time', () => {
    const did: number[] = []
    const { batch, soon } = batchOf((item) => {
      did.push(item)
      if (item === 1) batch.add(10)
    })
    batch.add(1)
    batch.add(2)
    soon[0]!()
    expect([did, soon.length]).toEqual([[1, 2], 2])
    soon[1]!()
    expect(did).toEqual([1, 2, 10])
  })

  it('does at once what must not wait, and not again', () => {
    const did: number[] = []
    const { batch, soon } = batchOf((item) => did.push(item))
    batch.add(1)
    batch.flush()
    expect(did).toEqual([1])
    soon[0]!()
    expect(did).toEqual([1])
  })
})
