import fc from 'fast-check'
import { expect, it } from 'vitest'
import { toBase64 as everywhere } from '@dslog/tlog/bytes'
import { toBase64 } from '../src/base64.ts'

it('is the text that is made everywhere else, also of a part of a buffer', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), fc.nat(100), (bytes, from) => {
      const part = bytes.subarray(from)
      expect(toBase64(part)).toBe(everywhere(part))
    }),
  )
})
