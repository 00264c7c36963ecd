/** Components that do the same again and again: rounds, their end, and what a failed one leads to. */
import { describe, expect, it, onTestFinished } from 'vitest'
import { DatabaseError } from '@dslog/service/database-error'
import { Periodic, type Rhythm } from '@dslog/service/periodic'
import { MINUTE } from '@dslog/schema/time'

class Counted extends Periodic {
  readonly name = 'counted'
  rounds = 0
  ended = 0
  work: (signal: AbortSignal) => Promise<void> = async () => {}

  constructor(rhythm: Partial<Rhythm> = {}) {
    super({ interval: MINUTE, immediately: true, ...rhythm })
    onTestFinished(() => this.stop())
  }

  async round(signal: AbortSignal): Promise<void> {
    this.rounds++
    await this.work(signal)
    this.ended++
  }
}

describe('a periodic component', () => {
  it('begins at once where it is told to, and when it is poked', async () => {
    const part = new Counted()
    await part.start(() => {})
    await expect.poll(() => part.rounds).toBe(1)
    part.poke()
    await expect.poll(() => part.rounds).toBe(2)
    await part.stop()
    part.poke()
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect(part.rounds).toBe(2)
  })

  it('waits for its interval where it is not', async () => {
    const part = new Counted({ immediately: false })
    await part.start(() => {})
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect(part.rounds).toBe(0)
  })

  it('is over when the round in flight is, which is told to end', async () => {
    const part = new Counted()
    const reasons: boolean[] = []
    part.work = (signal) =>
      new Promise((resolve) => {
        signal.addEventListener('abort', () => {
          reasons.push(signal.aborted)
          setTimeout(resolve, 20)
        })
      })
    await part.start(() => {})
    await expect.poll(() => part.rounds).toBe(1)
    await part.stop()
    expect([reasons, part.ended]).toEqual([[true], 1])
  })

  it('ends with the first failure, which is told once, and stops without another word', async () => {
    const part = new Counted({ interval: 1 })
    const failures: unknown[] = []
    const broken = new Error('broken')
    part.work = () => Promise.reject(broken)
    await part.start((error) => failures.push(error))
    await expect.poll(() => failures).toEqual([broken])
    part.poke()
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect([part.rounds, failures]).toEqual([1, [broken]])
  })

  it('begins a round anew that an outage of the database has ended, and only that', async () => {
    const pauses: number[] = []
    const part = new Counted({ wait: async (ms) => void pauses.push(ms) })
    const failures: unknown[] = []
    const broken = new Error('broken')
    const errors = [new DatabaseError('away', ''), new DatabaseError('busy', ''), undefined, broken]
    part.work = async () => {
      const error = errors.shift()
      if (error !== undefined) throw error
    }
    await part.start((error) => failures.push(error))
    await expect.poll(() => part.ended).toBe(1)
    expect([part.rounds, pauses.length, failures]).toEqual([3, 2, []])
    part.poke()
    await expect.poll(() => failures).toEqual([broken])
  })

  it('may be stopped during an outage, which is no failure', async () => {
    const part = new Counted()
    const failures: unknown[] = []
    part.work = () => Promise.reject(new DatabaseError('away', ''))
    await part.start((error) => failures.push(error))
    await expect.poll(() => part.rounds).toBe(1)
    await part.stop()
    expect(failures).toEqual([])
  })

  it('may be stopped without ever having been started', async () => {
    const part = new Counted()
    await part.stop()
    part.poke()
    expect(part.rounds).toBe(0)
  })
})
