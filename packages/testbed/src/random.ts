/** Chance that is the same for the same seed, so that what was done at random can be done again. */

/** Numbers as Math.random gives them (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** Gives whole numbers from 0 up to but not including a limit. */
export type RandomInt = (below: number) => number

/** As {@link randomFrom}, in whole numbers. */
export function randomIntFrom(seed: number): RandomInt {
  const random = randomFrom(seed)
  return (below) => Math.floor(random() * below)
}
