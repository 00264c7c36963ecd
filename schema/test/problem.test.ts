import { describe, expect, it } from 'vitest'
import { PROBLEMS, problemType } from '../src/problem.ts'
import type { ProblemName } from '../src/problem.ts'
import { ProblemDocument } from '../src/problemdocument.ts'

const names = Object.keys(PROBLEMS) as ProblemName[]

/** What api.md promises to submitters; a name that goes missing here breaks their programs. */
const REFUSALS = [
  'zone-not-admitted',
  'bogus',
  'unproven',
  'expired',
  'not-yet-valid',
  'unsupported',
  'malformed',
  'too-large',
  'rate-limited',
]

describe('problem types', () => {
  it('are words, with a status of an error and a title', () => {
    for (const name of names) {
      expect(name).toMatch(/^[a-z]+(-[a-z]+)*$/)
      expect(PROBLEMS[name].status).toBeGreaterThanOrEqual(400)
      expect(PROBLEMS[name].status).toBeLessThan(600)
      expect(PROBLEMS[name].title).toMatch(/^[A-Z].*[^.]$/)
    }
  })

  it('hold the refusals of a submission', () => {
    expect(names).toEqual(expect.arrayContaining(REFUSALS))
  })

  it('are URIs', () => {
    for (const name of names) expect(URL.canParse(problemType(name))).toBe(true)
  })

  it('have a document that needs type, title and status', () => {
    expect(ProblemDocument.required).toEqual(['type', 'title', 'status'])
    expect(Object.keys(ProblemDocument.properties)).toEqual([
      'type',
      'title',
      'status',
      'detail',
      'errors',
    ])
  })
})
