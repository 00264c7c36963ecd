/**
 * A fuzzer that is guided by coverage: it changes inputs that it knows, and keeps those that make code
 * run which no input has reached before. What a target throws besides its typed errors is a finding,
 * and so is an answer that takes too long.
 */
import { randomIntFrom } from '@dslog/testbed/random'
import type { Coverage } from './coverage.ts'
import { mutate } from './mutate.ts'

/** A parser under attack. */
export interface Target {
  readonly name: string
  readonly seeds: readonly Uint8Array[]
  /** Reads an input. Throws only what {@link refuses} knows; checks what it has read as it likes. */
  run(input: Uint8Array): unknown
  /** Whether an error is the one that bad input is answered with. */
  refuses(error: unknown): boolean
}

/** An input that a target does not survive. */
export interface Finding {
  readonly input: Uint8Array
  readonly error: unknown
}

export interface Outcome {
  readonly inputs: number
  /** Inputs that were read without an error. */
  readonly accepted: number
  /** Inputs that were kept, seeds included. */
  readonly corpus: number
  /** Blocks of code that ran. */
  readonly blocks: number
  readonly findings: readonly Finding[]
}

export interface FuzzOptions {
  readonly seed: number
  /** Whether to go on after so many inputs. */
  readonly goOn: (inputs: number) => boolean
}

/** Inputs between two looks at the coverage, which costs as much as some dozens of them. */
const BATCH = 64
/** An input of some kilobytes is read in a millisecond; far above that somebody could stop a service, ms. */
const SLOW = 2_000
/** Findings after which it ends: they will be the same few over and over. */
const MAX_FINDINGS = 5

export async function fuzz(
  target: Target,
  coverage: Coverage,
  { goOn, seed }: FuzzOptions,
): Promise<Outcome> {
  const random = randomIntFrom(seed)
  const seen = new Set<string>()
  const findings: Finding[] = []
  let inputs = 0
  let accepted = 0

  const attempt = async (input: Uint8Array): Promise<void> => {
    inputs++
    const started = performance.now()
    try {
      await target.run(input)
      accepted++
    } catch (error) {
      if (!target.refuses(error)) findings.push({ input, error })
    }
    const ms = performance.now() - started
    if (ms > SLOW) findings.push({ input, error: new Error(`took ${Math.round(ms)} ms`) })
  }

  /** Tries a batch, and returns those of it that came where nothing came before. */
  const explore = async (batch: readonly Uint8Array[]): Promise<Uint8Array[]> => {
    for (const input of batch) await attempt(input)
    const news = coverage
      .take()
      .blocks()
      .filter((block) => !seen.has(block))
    for (const block of news) seen.add(block)
    // Which of them it was shows when they are tried again, one by one.
    const wanted = new Set(news)
    const found: Uint8Array[] = []
    for (const input of batch) {
      if (wanted.size === 0) break
      await attempt(input)
      const run = coverage.take()
      const reached = [...wanted].filter((block) => run.ran(block))
      for (const block of reached) wanted.delete(block)
      if (reached.length > 0) found.push(input)
    }
    return found
  }

  await explore(target.seeds)
  const corpus = [...target.seeds]
  const any = (): Uint8Array => corpus[random(corpus.length)]!
  while (goOn(inputs) && findings.length < MAX_FINDINGS) {
    const batch = Array.from({ length: BATCH }, () => mutate(any(), any(), random))
    corpus.push(...(await explore(batch)))
  }
  return { inputs, accepted, corpus: corpus.length, blocks: seen.size, findings }
}
