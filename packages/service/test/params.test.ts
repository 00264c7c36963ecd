import { expect, test } from 'vitest'
import { nameToText, ROOT } from '@dslog/dnssec/name'
import { cursorOf, nameOf } from '../src/params.ts'
import { Problem } from '../src/problem.ts'

function problemOf(read: () => unknown): string {
  try {
    read()
    return 'accepted'
  } catch (error) {
    if (error instanceof Problem) return `${error.status} ${error.problem}`
    throw error
  }
}

test('names', () => {
  expect(nameToText(nameOf('Example.ORG'))).toBe('example.org.')
  expect(nameToText(nameOf('example.org.'))).toBe('example.org.')
  expect(nameOf('@')).toBe(ROOT)
  for (const text of ['', 'a..b', 'x'.repeat(64), 'é.org', '\\999']) {
    expect(
      problemOf(() => nameOf(text)),
      text,
    ).toBe('400 validation')
  }
})

test('cursors', () => {
  expect([cursorOf(undefined), cursorOf(''), cursorOf('0'), cursorOf('4711')]).toEqual([
    0, 0, 0, 4711,
  ])
  for (const text of ['-1', '1.5', '01', '1e3', ' 1', String(2 ** 53)]) {
    expect(
      problemOf(() => cursorOf(text)),
      text,
    ).toBe('400 validation')
  }
})
