import { describe, expect, test } from 'vitest'
import { Problem } from '@dslog/service/problem'
import { Gate } from '../src/gate.ts'

const PLACES = { all: 16, each: 4, what: 'guests', retrySeconds: 2 }

function refusal(enter: () => unknown): Problem {
  try {
    enter()
  } catch (error) {
    if (error instanceof Problem) return error
    throw error
  }
  throw new Error('there was a place')
}

describe('a gate', () => {
  test('gives one source so many places and no more', () => {
    const gate = new Gate(PLACES)
    const places = Array.from({ length: PLACES.each }, () => gate.enter('a'))
    expect(refusal(() => gate.enter('a'))).toMatchObject({
      problem: 'too-many-requests',
      message: 'Too many guests of one source',
      retryAfter: expect.any(Number),
    })
    gate.enter('b')
    places[1]!()
    gate.enter('a')
    expect(refusal(() => gate.enter('a')).problem).toBe('too-many-requests')
  })

  test('is full when all places are taken, whoever has them', () => {
    const gate = new Gate(PLACES)
    const places = Array.from({ length: PLACES.all }, (_, i) => gate.enter(`source ${i}`))
    expect(refusal(() => gate.enter('another'))).toMatchObject({
      problem: 'unavailable',
      status: 503,
      retryAfter: expect.any(Number),
    })
    for (const leave of places) leave()
    expect(gate.taken).toBe(0)
    gate.enter('another')
  })

  test('a place is left once', () => {
    const gate = new Gate(PLACES)
    const [first] = [gate.enter('a'), gate.enter('a')]
    first()
    first()
    expect(gate.taken).toBe(1)
  })
})
