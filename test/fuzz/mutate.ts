/** Changes to inputs that bring a parser into trouble: bits, lengths, numbers, repetitions, splices. */
import type { RandomInt } from '@dslog/testbed/random'

/** Inputs grow no longer than this, bytes: twice the largest entry. */
const MAX_BYTES = 131_072
/** Changes to one input; more of them lead too far away from anything that parses. */
const MAX_CHANGES = 6

/** Bytes at which parsers decide. */
const BYTES = [
  0, 1, 2, 9, 10, 13, 32, 34, 40, 43, 45, 46, 47, 48, 57, 61, 63, 64, 92, 127, 128, 192, 255,
]
/** Lengths and counts at which they overflow. */
const LENGTHS = [0, 1, 255, 256, 0x3fff, 0x7fff, 0xffff]

type Change = (bytes: Uint8Array, random: RandomInt, other: Uint8Array) => Uint8Array

const CHANGES: readonly Change[] = [
  // A bit.
  (bytes, random) => edit(bytes, random, (b, at) => (b[at]! ^= 1 << random(8))),
  // A byte.
  (bytes, random) => edit(bytes, random, (b, at) => (b[at] = random(256))),
  (bytes, random) => edit(bytes, random, (b, at) => (b[at] = BYTES[random(BYTES.length)]!)),
  // One more, one less.
  (bytes, random) => edit(bytes, random, (b, at) => (b[at] = b[at]! + random(2) * 2 - 1)),
  // Two bytes that may be a length.
  (bytes, random) =>
    edit(bytes, random, (b, at) => {
      const length = LENGTHS[random(LENGTHS.length)]!
      b[at] = length >> 8
      if (at + 1 < b.length) b[at + 1] = length & 0xff
    }),
  // A prefix.
  (bytes, random) => bytes.slice(0, random(bytes.length + 1)),
  // Something taken out.
  (bytes, random) => {
    const [from, to] = span(bytes, random)
    return join(bytes.subarray(0, from), bytes.subarray(to))
  },
  // Something twice.
  (bytes, random) => {
    const [from, to] = span(bytes, random)
    return join(bytes.subarray(0, to), bytes.subarray(from))
  },
  // Two neighbours swapped.
  (bytes, random) => {
    const [from, to] = span(bytes, random)
    const end = Math.min(bytes.length, to + (to - from))
    return join(
      bytes.subarray(0, from),
      bytes.subarray(to, end),
      bytes.subarray(from, to),
      bytes.subarray(end),
    )
  },
  // A byte more.
  (bytes, random) => {
    const at = random(bytes.length + 1)
    return join(
      bytes.subarray(0, at),
      Uint8Array.of(BYTES[random(BYTES.length)]!),
      bytes.subarray(at),
    )
  },
  // A part of another input.
  (bytes, random, other) => {
    const at = random(bytes.length + 1)
    const [from, to] = span(other, random)
    return join(
      bytes.subarray(0, at),
      other.subarray(from, to),
      bytes.subarray(at + random(2) * (to - from)),
    )
  },
  // The beginning of one, the end of another.
  (bytes, random, other) => {
    return join(
      bytes.subarray(0, random(bytes.length + 1)),
      other.subarray(random(other.length + 1)),
    )
  },
]

/** An input made from one that is known, and from another. */
export function mutate(bytes: Uint8Array, other: Uint8Array, random: RandomInt): Uint8Array {
  let made = bytes
  for (let changes = 1 + random(MAX_CHANGES); changes > 0; changes--) {
    made = CHANGES[random(CHANGES.length)]!(made, random, other)
  }
  return made.length > MAX_BYTES ? made.slice(0, MAX_BYTES) : made
}

function edit(
  bytes: Uint8Array,
  random: RandomInt,
  change: (b: Uint8Array, at: number) => void,
): Uint8Array {
  if (bytes.length === 0) return Uint8Array.of(random(256))
  const copy = bytes.slice()
  change(copy, random(copy.length))
  return copy
}

/** A part of some bytes; short ones are likelier. */
function span(bytes: Uint8Array, random: RandomInt): [number, number] {
  const from = random(bytes.length + 1)
  const longest = Math.min(bytes.length - from, 1 << random(10))
  return [from, from + random(longest + 1)]
}

function join(...parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}
