import { getPublicKey, sign, utils } from '@noble/ed25519'
import { afterEach, describe, expect, test } from 'vitest'
import { backend, setBackend, type Backend } from '../src/backend.ts'
import { concat, fromHex, toBase64, toHex, utf8 } from '../src/bytes.ts'
import {
  asHash,
  EMPTY_ROOT,
  HASH_SIZE,
  hashFromBase64,
  leafHash,
  leafHashInto,
  nodeHash,
  nodeHashInto,
  sha256,
} from '../src/hash.ts'

const original = backend()
afterEach(() => {
  setBackend(original)
})

describe('hashes', () => {
  test('FIPS 180-2 and the empty root', () => {
    expect(toHex(sha256(utf8('abc')))).toBe(
      'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
    )
    expect(toBase64(EMPTY_ROOT)).toBe('47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=')
  })

  test('leaves and nodes are told apart by their first byte', () => {
    const [left, right] = [leafHash(utf8('a')), leafHash(utf8('b'))]
    expect(leafHash(new Uint8Array(0))).toEqual(sha256(Uint8Array.of(0)))
    expect(left).toEqual(sha256(concat(Uint8Array.of(0), utf8('a'))))
    expect(nodeHash(left, right)).toEqual(sha256(concat(Uint8Array.of(1), left, right)))
    expect(nodeHash(left, right)).not.toEqual(nodeHash(right, left))
  })

  test('entries of any length, around the size of the inner buffer too', () => {
    for (const length of [1, 55, 56, 63, 64, 65534, 65535, 65536, 200000]) {
      const entry = new Uint8Array(length).fill(length)
      expect(leafHash(entry)).toEqual(sha256(concat(Uint8Array.of(0), entry)))
    }
  })

  test('hashes in place write 32 bytes and no other', () => {
    const out = new Uint8Array(3 * HASH_SIZE).fill(7)
    leafHashInto(utf8('x'), out, HASH_SIZE)
    expect(out.subarray(0, 32)).toEqual(new Uint8Array(32).fill(7))
    expect(out.subarray(32, 64)).toEqual(leafHash(utf8('x')))
    expect(out.subarray(64)).toEqual(new Uint8Array(32).fill(7))

    const pair = concat(leafHash(utf8('a')), leafHash(utf8('b')))
    nodeHashInto(pair, 0, out, 64)
    const parent = nodeHash(leafHash(utf8('a')), leafHash(utf8('b')))
    expect(out.subarray(64)).toEqual(parent)
    nodeHashInto(pair, 0, pair, 0)
    expect(pair.subarray(0, 32)).toEqual(parent)
  })

  test('a hash is 32 bytes', () => {
    const bytes = new Uint8Array(32)
    expect(asHash(bytes)).toBe(bytes)
    for (const length of [0, 31, 33]) {
      expect(() => asHash(new Uint8Array(length))).toThrow(
        expect.objectContaining({ code: 'bad-hash' }),
      )
    }
    expect(hashFromBase64(toBase64(EMPTY_ROOT))).toEqual(EMPTY_ROOT)
    expect(() => hashFromBase64('Zm9v')).toThrow(expect.objectContaining({ code: 'bad-hash' }))
    expect(() => hashFromBase64('Zm9')).toThrow(expect.objectContaining({ code: 'encoding' }))
  })
})

describe('backend', () => {
  test('every hash goes through the one that is set', () => {
    let calls = 0
    const counting: Backend = {
      sha256: (data) => {
        calls++
        return original.sha256(data)
      },
      sha256Into: (data, out, offset) => {
        calls++
        original.sha256Into(data, out, offset)
      },
      ed25519Verify: original.ed25519Verify,
    }
    expect(setBackend(counting)).toBe(original)
    expect(backend()).toBe(counting)
    const hash = leafHash(utf8('a'))
    nodeHash(hash, hash)
    sha256(hash)
    expect(calls).toBe(3)
    expect(setBackend(original)).toBe(counting)
  })

  test('Ed25519: signs and verifies, and refuses every changed byte', () => {
    const secret = utils.randomSecretKey()
    const publicKey = getPublicKey(secret)
    const message = utf8('message')
    const signature = sign(message, secret)
    const { ed25519Verify } = backend()
    expect(ed25519Verify(publicKey, message, signature)).toBe(true)
    for (let i = 0; i < signature.length; i++) {
      const changed = signature.slice()
      changed[i]! += 1
      expect(ed25519Verify(publicKey, message, changed)).toBe(false)
    }
    expect(ed25519Verify(publicKey, utf8('massage'), signature)).toBe(false)
  })

  test('Ed25519: malformed input is false, never an exception', () => {
    const { ed25519Verify } = backend()
    const zero = (n: number): Uint8Array => new Uint8Array(n)
    expect(ed25519Verify(zero(31), zero(1), zero(64))).toBe(false)
    expect(ed25519Verify(zero(33), zero(1), zero(64))).toBe(false)
    expect(ed25519Verify(zero(32), zero(1), zero(63))).toBe(false)
    expect(ed25519Verify(zero(32).fill(0xff), zero(1), zero(64))).toBe(false)
  })

  test('Ed25519: the leniencies of ZIP-215 are off', () => {
    // The identity as key and as R, S = 0: valid for any message under ZIP-215, refused by RFC 8032 with small-order checks.
    const identity = fromHex('01' + '00'.repeat(31))
    const lenient = fromHex('ee' + 'ff'.repeat(30) + '7f')
    const signature = concat(lenient, new Uint8Array(32))
    expect(backend().ed25519Verify(identity, utf8('any'), signature)).toBe(false)
  })
})
