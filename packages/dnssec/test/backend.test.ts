/** The primitives: every algorithm on both backends, which must agree on good keys and on junk. */
import { Point } from '@noble/ed25519'
import { ed448 } from '@noble/curves/ed448.js'
import { sha512 } from '@noble/hashes/sha2.js'
import { shake256 } from '@noble/hashes/sha3.js'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { concat, fromHex, toHex, utf8 } from '@dslog/tlog/bytes'
import { KeyCache, sizesFit, SUPPORTED } from '../src/backend/backend.ts'
import { parseRsaKey, rsaKeyBits, rsaVerifyDigest } from '../src/backend/rsa.ts'
import { BACKENDS } from './backends.ts'
import { ecdsaKey, ed25519Key, ed448Key, rsaKey, rsaPublicKey, type TestKey } from './sign.ts'

const DATA = utf8('what is signed')

const keys: [string, Promise<TestKey>][] = [
  ['RSA/SHA-1', rsaKey(5)],
  ['RSA/SHA-1 (NSEC3)', rsaKey(7)],
  ['RSA/SHA-256', rsaKey(8)],
  ['RSA/SHA-512', rsaKey(10)],
  ['RSA/SHA-256, 512 bits', rsaKey(8, 512)],
  ['RSA/SHA-512, 1016 bits', rsaKey(10, 1016)],
  ['RSA/SHA-256, 4096 bits', rsaKey(8, 4096)],
  ['RSA/SHA-256, exponent 3', rsaKey(8, 1024, 3n)],
  ['RSA/SHA-256, 33-bit exponent', rsaKey(8, 1024, 2n ** 32n + 1n)],
  ['RSA/SHA-256, 64-bit exponent', rsaKey(8, 4096, 2n ** 64n - 59n)],
  ['P-256', Promise.resolve(ecdsaKey(13))],
  ['P-384', Promise.resolve(ecdsaKey(14))],
  ['Ed25519', Promise.resolve(ed25519Key())],
  ['Ed448', Promise.resolve(ed448Key())],
]

describe.each(BACKENDS)('%s backend', (_, backend) => {
  test.each(keys)('%s', async (_, making) => {
    const { algorithm, publicKey, sign } = await making
    const signature = await sign(DATA)
    const verify = (s: Uint8Array, data = DATA, key = publicKey, number = algorithm) =>
      backend.verify(number, key, data, s)
    expect(await verify(signature)).toBe(true)
    // A second time, from the cache.
    expect(await verify(signature)).toBe(true)
    expect(await verify(signature, DATA.with(0, 0))).toBe(false)
    for (const at of [0, 1, signature.length >> 1, signature.length - 1]) {
      expect(await verify(signature.with(at, signature[at]! ^ 1))).toBe(false)
    }
    for (const at of [publicKey.length >> 1, publicKey.length - 1]) {
      expect(await verify(signature, DATA, publicKey.with(at, publicKey[at]! ^ 2))).toBe(false)
    }
    for (const s of [
      new Uint8Array(),
      new Uint8Array(signature.length),
      new Uint8Array(signature.length).fill(255),
      signature.subarray(1),
      concat(signature, Uint8Array.of(0)),
      concat(Uint8Array.of(0), signature),
    ]) {
      expect(await verify(s)).toBe(false)
    }
    for (const other of [...SUPPORTED, 0, 1, 3, 12, 17, 253]) {
      const same = other === algorithm || (other + algorithm === 12 && other * algorithm === 35)
      expect(await verify(signature, DATA, publicKey, other), `as ${other}`).toBe(same)
    }
  })

  test('junk keys are false, never an error', async () => {
    const junk = [0, 1, 3, 32, 57, 64, 96, 130, 1027, 1028, 65000]
    for (const algorithm of SUPPORTED) {
      for (const length of junk) {
        for (const fill of [0, 1, 255]) {
          // Zeros are a point of small order for Edwards curves: see below.
          if (fill === 0 && algorithm >= 15) continue
          const key = new Uint8Array(length).fill(fill)
          for (const size of [64, 96, 114, 128]) {
            const signature = new Uint8Array(size).fill(fill)
            expect(await backend.verify(algorithm, key, DATA, signature)).toBe(false)
          }
        }
      }
    }
  })

  test('a point that is not on its curve is no key', async () => {
    for (const algorithm of [13, 14] as const) {
      const { publicKey, sign } = ecdsaKey(algorithm)
      const off = publicKey.with(-1, publicKey.at(-1)! ^ 1)
      expect(await backend.verify(algorithm, off, DATA, await sign(DATA))).toBe(false)
    }
  })

  test('digests of DS', async () => {
    const abc = utf8('abc')
    const hex = async (type: 1 | 2 | 4): Promise<string> => toHex(await backend.digest(type, abc))
    expect(await hex(1)).toBe('a9993e364706816aba3e25717850c26c9cd0d89d')
    expect(await hex(2)).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad')
    expect(await hex(4)).toMatch(/^cb00753f45a35e8bb5a03d699ac65007272c32ab0eded163.*34c825a7$/)
  })

  test('views into larger buffers are taken as what they show', async () => {
    const { algorithm, publicKey, sign } = ed25519Key()
    const framed = (b: Uint8Array) => concat(Uint8Array.of(9), b, Uint8Array.of(9)).subarray(1, -1)
    for (const key of [ed25519Key(), ecdsaKey(13), await keys[2]![1]]) {
      const signature = await key.sign(DATA)
      const parts = [key.publicKey, DATA, signature].map(framed) as [
        Uint8Array,
        Uint8Array,
        Uint8Array,
      ]
      expect(await backend.verify(key.algorithm, ...parts)).toBe(true)
    }
    // A caller may reuse its buffer: a cached key is not the buffer it was read from.
    const buffer = publicKey.slice()
    const signature = await sign(DATA)
    expect(await backend.verify(algorithm, buffer, DATA, signature)).toBe(true)
    buffer.fill(7)
    expect(await backend.verify(algorithm, buffer, DATA, signature)).toBe(false)
    expect(await backend.verify(algorithm, publicKey, DATA, signature)).toBe(true)
  })
})

describe('Edwards curves at the edges, where verifiers differ', () => {
  // Signatures under keys of small order, or with parts of small order mixed in: honest signers make
  // none, but a log and its auditors must decide alike about those of others.
  const little = (value: bigint, size = 32): Uint8Array =>
    fromHex(value.toString(16).padStart(2 * size, '0')).reverse()

  /** Writings of y with both signs of x. */
  const signs = (value: bigint, size: number): Uint8Array[] => {
    const plain = little(value, size)
    return [plain, plain.with(-1, plain.at(-1)! | 0x80)]
  }

  async function agree(
    algorithm: number,
    publicKey: Uint8Array,
    data: Uint8Array,
    signature: Uint8Array,
  ): Promise<boolean> {
    const answers = await Promise.all(
      BACKENDS.map(([, backend]) => backend.verify(algorithm, publicKey, data, signature)),
    )
    expect(new Set(answers).size, `${toHex(publicKey)} ${toHex(signature)}`).toBe(1)
    return answers[0]!
  }

  const p25519 = 2n ** 255n - 19n
  const p448 = 2n ** 448n - 2n ** 224n - 1n
  // Points of small order, written reduced and, where that fits, unreduced.
  const small25519 = [
    ...[1n, p25519 - 1n, 0n, p25519, p25519 + 1n].flatMap((y) => signs(y, 32)),
    fromHex('c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a'),
    fromHex('26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05'),
  ]
  const small448 = [1n, p448 - 1n, 0n, p448, p448 + 1n].flatMap((y) => signs(y, 57))

  test.each([
    [15, small25519, 32],
    [16, small448, 57],
  ] as const)('algorithm %i: keys and R of small order', async (algorithm, points, size) => {
    let accepted = 0
    for (const publicKey of points) {
      for (const r of points) {
        for (let i = 0; i < 4; i++) {
          const signature = concat(r, new Uint8Array(size))
          if (await agree(algorithm, publicKey, utf8(`message ${i}`), signature)) accepted += 1
        }
      }
    }
    expect(accepted).toBeGreaterThan(0)
  })

  test('Ed25519: keys and R of mixed order', async () => {
    const order = Point.CURVE().n
    const eighth = Point.fromBytes(small25519.at(-1)!, true)
    let accepted = 0
    for (let i = 1n; i <= 24n; i++) {
      const secret = 1000n + i
      const a = Point.BASE.multiply(secret).add(i % 2n === 0n ? eighth : Point.ZERO)
      const r = Point.BASE.multiply(i).add(i % 3n === 0n ? eighth : Point.ZERO)
      const data = utf8(`message ${i}`)
      const hash = sha512(concat(r.toBytes(), a.toBytes(), data)).reverse()
      const k = BigInt('0x' + toHex(hash)) % order
      const signature = concat(r.toBytes(), little((i + k * secret) % order))
      if (await agree(15, a.toBytes(), data, signature)) accepted += 1
    }
    // Without cofactor, what is mixed in must cancel out.
    expect(accepted).toBeGreaterThan(4)
    expect(accepted).toBeLessThan(24)
  })

  test('Ed448: keys and R of mixed order', async () => {
    const { BASE, ZERO, Fn, fromBytes } = ed448.Point
    const fourth = fromBytes(new Uint8Array(57), false)
    const domain = concat(utf8('SigEd448'), Uint8Array.of(0, 0))
    for (let i = 1n; i <= 12n; i++) {
      const secret = 1000n + i
      const a = BASE.multiply(secret).add(i % 2n === 0n ? fourth : ZERO)
      const r = BASE.multiply(i).add(i % 3n === 0n ? fourth : ZERO)
      const data = utf8(`message ${i}`)
      const hash = shake256(concat(domain, r.toBytes(), a.toBytes(), data), { dkLen: 114 })
      const k = BigInt('0x' + toHex(hash.reverse())) % Fn.ORDER
      const signature = concat(r.toBytes(), little((i + k * secret) % Fn.ORDER, 57))
      expect(await agree(16, a.toBytes(), data, signature)).toBe(true)
    }
  })

  test('S must be reduced', async () => {
    for (const { algorithm, publicKey, sign } of [ed25519Key(), ed448Key()]) {
      const order = algorithm === 15 ? Point.CURVE().n : ed448.Point.Fn.ORDER
      const signature = await sign(DATA)
      const half = signature.length / 2
      expect(await agree(algorithm, publicKey, DATA, signature)).toBe(true)
      const s = BigInt('0x' + toHex(signature.slice(half).reverse()))
      for (let times = 1n; times <= 15n; times++) {
        const twin = concat(signature.subarray(0, half), little(s + times * order, half))
        expect(await agree(algorithm, publicKey, DATA, twin)).toBe(false)
      }
    }
  })
})

describe('RSA keys of RFC 3110', () => {
  const n = (bits: number): Uint8Array => {
    const out = new Uint8Array(Math.ceil(bits / 8)).fill(255)
    out[0] = 255 >> ((8 - (bits % 8)) % 8)
    return out
  }
  const e = Uint8Array.of(1, 0, 1)

  test('modulus of 512 to 4096 bits, exponent of 2 to 64', () => {
    for (const bits of [512, 513, 1024, 2047, 2048, 4095, 4096]) {
      expect(rsaKeyBits(rsaPublicKey(e, n(bits)))).toBe(bits)
    }
    for (const bits of [8, 511, 4097, 8192]) {
      expect(parseRsaKey(rsaPublicKey(e, n(bits)))).toBeUndefined()
    }
    for (const good of [[3], [17], [1, 0, 1], new Array<number>(8).fill(255)]) {
      expect(parseRsaKey(rsaPublicKey(Uint8Array.from(good), n(1024)))?.e).toEqual(
        Uint8Array.from(good),
      )
    }
    for (const wrong of [[], [0], [1], [2], [1, 0], [1, ...new Array<number>(8).fill(255)]]) {
      expect(parseRsaKey(rsaPublicKey(Uint8Array.from(wrong), n(1024)))).toBeUndefined()
    }
    expect(parseRsaKey(rsaPublicKey(e, n(1024).with(-1, 254)))).toBeUndefined()
  })

  test('both forms of the exponent length, and leading zeros as resolvers read them', () => {
    const long = concat(Uint8Array.of(0, 0, 3), e, n(1024))
    expect(parseRsaKey(long)).toEqual({ e, n: n(1024) })
    const padded = rsaPublicKey(concat(Uint8Array.of(0), e), concat(new Uint8Array(2), n(1024)))
    expect(parseRsaKey(padded)).toEqual({ e, n: n(1024) })
    for (const cut of [[], [0], [0, 1], [0, 0, 3], [3, 1, 0], [3, 1, 0, 1], [0, 1, 0, 1]]) {
      expect(parseRsaKey(Uint8Array.from(cut))).toBeUndefined()
    }
  })

  test('an exponent of 4096 bits is refused at once by both backends', async () => {
    const huge = rsaPublicKey(new Uint8Array(512).fill(255), n(4096))
    for (const [, backend] of BACKENDS) {
      expect(await backend.verify(8, huge, DATA, new Uint8Array(512).fill(1))).toBe(false)
    }
  })

  test('plain arithmetic agrees with the platform', async () => {
    for (const making of keys.slice(0, 10)) {
      const key = await making[1]
      const signature = await key.sign(DATA)
      const hash = key.algorithm === 8 ? 'SHA-256' : key.algorithm === 10 ? 'SHA-512' : 'SHA-1'
      const digest = new Uint8Array(await crypto.subtle.digest(hash, DATA.slice()))
      const rsa = parseRsaKey(key.publicKey)!
      expect(rsaVerifyDigest(rsa, hash, digest, signature)).toBe(true)
      expect(rsaVerifyDigest(rsa, hash, digest.with(0, digest[0]! ^ 1), signature)).toBe(false)
      expect(rsaVerifyDigest(rsa, hash, digest, signature.with(9, signature[9]! ^ 1))).toBe(false)
      // The number itself out of range, though congruent.
      const big = BigInt('0x' + toHex(signature)) + BigInt('0x' + toHex(rsa.n))
      const text = big.toString(16).padStart(signature.length * 2, '0')
      if (text.length === signature.length * 2) {
        expect(rsaVerifyDigest(rsa, hash, digest, fromHex(text))).toBe(false)
      }
    }
  })

  test('a block that is padded otherwise is refused', () => {
    // With e = 3 and a modulus above the cube, the signature of a chosen block can be written down;
    // here the block is the signature's cube itself, and never well padded.
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 128, maxLength: 128 }), (signature) => {
        const key = parseRsaKey(rsaPublicKey(Uint8Array.of(3), n(1024)))!
        expect(rsaVerifyDigest(key, 'SHA-256', new Uint8Array(32), signature)).toBe(false)
      }),
      { numRuns: 50 },
    )
    const key = parseRsaKey(rsaPublicKey(e, n(512)))!
    expect(rsaVerifyDigest(key, 'SHA-512', new Uint8Array(64), new Uint8Array(64))).toBe(false)
  })
})

describe('bounds', () => {
  test('a key cache forgets what was not asked for longest', () => {
    const cache = new KeyCache<string>(2)
    const made: string[] = []
    const get = (id: number): string =>
      cache.get(13, Uint8Array.of(id), () => {
        made.push(String(id))
        return `key ${id}`
      })
    expect([get(1), get(2), get(1), get(3), get(1), get(2)]).toEqual(
      [1, 2, 1, 3, 1, 2].map((id) => `key ${id}`),
    )
    expect(made).toEqual(['1', '2', '3', '2'])
    // The algorithm is part of the key.
    expect(cache.get(14, Uint8Array.of(1), () => 'other')).toBe('other')
  })

  test('a kept key is not taken for another with its checksum', () => {
    const cache = new KeyCache<string>()
    // By FNV-1a these two words are one.
    const words = ['costarring', 'liquid', 'costarring', 'costarring', 'liquid']
    expect(words.map((word) => cache.get(0, utf8(word), () => word))).toEqual(words)
  })

  test('a kept key is one as it was, whatever becomes of the bytes it came in', () => {
    const cache = new KeyCache<string>()
    const bytes = utf8('first')
    expect(cache.get(13, bytes, () => 'first')).toBe('first')
    bytes.set(utf8('other'))
    expect(cache.get(13, bytes, () => 'other')).toBe('other')
    expect(cache.get(13, utf8('first'), () => 'again')).toBe('first')
  })

  test('sizes are looked at before anything is imported', () => {
    const sized = (key: number, signature: number, algorithm: number): boolean =>
      sizesFit(algorithm, new Uint8Array(key), new Uint8Array(signature))
    expect(sized(64, 64, 13) && sized(96, 96, 14) && sized(32, 64, 15) && sized(57, 114, 16)).toBe(
      true,
    )
    expect(sized(64, 63, 13) || sized(65, 64, 13) || sized(32, 64, 16)).toBe(false)
    expect(sized(1027, 512, 8)).toBe(true)
    expect(sized(1028, 512, 8)).toBe(false)
    expect(sized(64, 64, 12)).toBe(false)
  })
})
