import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { afterEach, describe, expect, it } from 'vitest'
import { backend, setBackend } from '@dslog/tlog/backend'
import { leafHash } from '@dslog/tlog/hash'
import { fromHex, toHex, utf8 } from '@dslog/tlog/bytes'
import { ed25519Signer, installNodeCrypto, nodeBackend } from '@dslog/service/crypto'

const noble = backend()
afterEach(() => setBackend(noble))

/** RFC 8032 section 7.1: seed, public key, message, signature. */
const RFC8032 = [
  [
    '9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60',
    'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a',
    '',
    'e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b',
  ],
  [
    '4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb',
    '3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c',
    '72',
    '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00',
  ],
  [
    'c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7',
    'fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025',
    'af82',
    '6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a',
  ],
] as const

describe('SHA-256', () => {
  it('is the same as createHash, in place or not', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(100), (data, offset) => {
        const expected = createHash('sha256').update(data).digest('hex')
        expect(toHex(nodeBackend.sha256(data))).toBe(expected)
        const out = new Uint8Array(140).fill(0xaa)
        nodeBackend.sha256Into(data, out, offset)
        expect(toHex(out.subarray(offset, offset + 32))).toBe(expected)
        expect([...out.subarray(0, offset), ...out.subarray(offset + 32)]).toEqual(
          Array.from({ length: 108 }, () => 0xaa),
        )
      }),
    )
  })

  it('writes into views, and over its own input', () => {
    const memory = new Uint8Array(200)
    const view = memory.subarray(100, 164)
    nodeBackend.sha256Into(utf8('abc'), view, 32)
    expect(toHex(memory.subarray(132, 164))).toBe(toHex(noble.sha256(utf8('abc'))))
    const input = new Uint8Array(64).fill(7)
    const expected = toHex(noble.sha256(input))
    nodeBackend.sha256Into(input, input, 0)
    expect(toHex(input.subarray(0, 32))).toBe(expected)
  })

  it('gives arrays of their own', () => {
    const a = nodeBackend.sha256(utf8('a'))
    const before = toHex(a)
    nodeBackend.sha256(utf8('b'))
    expect([toHex(a), a.buffer.byteLength]).toEqual([before, 32])
  })

  it('serves the whole process once installed', () => {
    const entry = utf8('entry')
    const before = leafHash(entry)
    installNodeCrypto()
    expect(backend()).toBe(nodeBackend)
    expect(leafHash(entry)).toEqual(before)
  })
})

describe('Ed25519', () => {
  it.each(RFC8032)('RFC 8032: %s', (seed, publicKey, message, signature) => {
    const signer = ed25519Signer(fromHex(seed))
    expect(toHex(signer.publicKey)).toBe(publicKey)
    expect(toHex(signer.sign(fromHex(message)))).toBe(signature)
    expect(
      nodeBackend.ed25519Verify(fromHex(publicKey), fromHex(message), fromHex(signature)),
    ).toBe(true)
  })

  it('refuses every change of a bit', () => {
    const [, publicKey, message, signature] = RFC8032[2]
    const parts = [publicKey, message, signature].map(fromHex)
    for (const part of parts) {
      for (let bit = 0; bit < 8 * part.length; bit++) {
        part[bit >> 3]! ^= 1 << (bit & 7)
        expect(nodeBackend.ed25519Verify(parts[0]!, parts[1]!, parts[2]!)).toBe(false)
        part[bit >> 3]! ^= 1 << (bit & 7)
      }
    }
    expect(nodeBackend.ed25519Verify(parts[0]!, parts[1]!, parts[2]!)).toBe(true)
  })

  it('answers false to what is malformed, and does not throw', () => {
    const [, publicKey, message, signature] = RFC8032[1].map(fromHex) as [
      Uint8Array,
      Uint8Array,
      Uint8Array,
      Uint8Array,
    ]
    const verify = nodeBackend.ed25519Verify
    for (const length of [0, 31, 33, 64]) {
      expect(verify(new Uint8Array(length), message, signature)).toBe(false)
    }
    for (const length of [0, 63, 65]) {
      expect(verify(publicKey, message, new Uint8Array(length))).toBe(false)
    }
    // No point of the curve.
    expect(verify(new Uint8Array(32).fill(0xff), message, signature)).toBe(false)
  })

  it('agrees with noble on random keys, beyond the size of its cache', () => {
    for (let i = 0; i < 300; i++) {
      const seed = nodeBackend.sha256(Uint8Array.of(i & 255, i >> 8))
      const signer = ed25519Signer(seed)
      const message = seed.subarray(0, i % 32)
      const signature = signer.sign(message)
      expect(nodeBackend.ed25519Verify(signer.publicKey, message, signature)).toBe(true)
      if (i % 50 === 0) expect(noble.ed25519Verify(signer.publicKey, message, signature)).toBe(true)
    }
  })

  it('takes no seed of another length', () => {
    expect(() => ed25519Signer(new Uint8Array(31))).toThrow(RangeError)
    expect(() => ed25519Signer(new Uint8Array(64))).toThrow(RangeError)
  })
})
