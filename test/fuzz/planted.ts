/** A parser with a fault four bytes deep, which only whoever looks at the coverage finds: it tests the fuzzer. */
import type { Target } from './fuzz.ts'

class Refusal extends Error {}

function parsePlanted(input: Uint8Array): void {
  if (input[0] === 0x64) {
    if (input[1] === 0x73) {
      if (input[2] === 0x6c) {
        if (input[3] === 0x67) throw new RangeError('planted')
      }
    }
  }
  throw new Refusal('not it')
}

export const planted: Target = {
  name: 'planted',
  seeds: [new Uint8Array(4)],
  refuses: (error) => error instanceof Refusal,
  run: parsePlanted,
}
