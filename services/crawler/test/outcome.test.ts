/** When a task is due again, and what is remembered of it. */
import { describe, expect, test } from 'vitest'
import { nameFromText } from '@dslog/dnssec/name'
import { MINUTE } from '@dslog/schema/time'
import type { Task } from '../src/frontier.ts'
import { done, failed, leftAlone, putOff } from '../src/outcome.ts'
import { INTERVAL, TaskKind, Tier } from '../src/schedule.ts'

const AT = { now: 1_700_000_000_000, random: 0 }

function task(more: Partial<Task> = {}): Task {
  const name = nameFromText('example.org.')
  return {
    name,
    kind: TaskKind.poll,
    tier: Tier.other,
    due: 1,
    failures: 0,
    answered: undefined,
    ...more,
  }
}

describe('a task that is done', () => {
  test('is due again after the interval of what was found', () => {
    expect(done(task({ failures: 3 }), Tier.signed, undefined, AT)).toEqual({
      task: task({ failures: 3 }),
      due: AT.now + INTERVAL[Tier.signed],
      tier: Tier.signed,
      seenAt: AT.now,
      failures: 0,
      reason: undefined,
      answered: undefined,
    })
  })

  test('stays watched, whatever was found', () => {
    const { due, tier } = done(task({ tier: Tier.watched }), Tier.other, undefined, AT)
    expect(tier).toBe(Tier.watched)
    expect(due! - AT.now).toBeLessThan(INTERVAL[Tier.signed])
  })

  test('keeps what the log has said of it', () => {
    const answered = Uint8Array.of(1)
    expect(done(task(), Tier.other, answered, AT).answered).toBe(answered)
  })

  test('is over if it was a look', () => {
    const look = task({ kind: TaskKind.look + 1, tier: Tier.watched })
    expect(done(look, Tier.signed, undefined, AT).due).toBeUndefined()
  })
})

describe('a task that failed', () => {
  test('is tried again later and later, and counts as not seen', () => {
    const first = failed(task(), 'timeout', AT)
    expect(first).toMatchObject({
      failures: 1,
      reason: 'timeout',
      seenAt: undefined,
      tier: Tier.other,
    })
    expect(first.due! - AT.now).toBe(5 * MINUTE)
    const fourth = failed(task({ failures: 3 }), 'timeout', AT)
    expect(fourth.due! - AT.now).toBe(40 * MINUTE)
  })

  test('is never given up if it is a name, and after three times if it is a look', () => {
    expect(failed(task({ failures: 1000 }), 'timeout', AT).due).toBeDefined()
    const look = (failures: number): Task => task({ kind: TaskKind.look, failures })
    expect(failed(look(1), 'timeout', AT).due).toBeDefined()
    expect(failed(look(2), 'timeout', AT).due).toBeUndefined()
  })
})

test('a task that is put off has not failed', () => {
  const late = putOff(task({ failures: 2 }), 1_234.5, 'zone-pace', AT)
  expect(late).toMatchObject({ due: AT.now + 1_235, failures: 2, reason: 'zone-pace' })
})

test('a name that is left alone is looked at again in a week: the wish may have changed', () => {
  const alone = leftAlone(task({ tier: Tier.signed }), AT)
  expect(alone).toMatchObject({
    due: AT.now + INTERVAL[Tier.other],
    reason: 'opted-out',
    tier: Tier.signed,
  })
})
