import { describe, expect, it } from 'vitest'
import { nameFromText, nameFromWire, ROOT } from '@dslog/dnssec/name'
import { nameOfPath, pathOf } from '../src/path.ts'

describe('paths of names', () => {
  it.each([
    [ROOT, '@'],
    [nameFromText('fi'), 'fi.'],
    [nameFromText('a\\.b'), 'a%5C.b.'],
    [nameFromWire(Uint8Array.of(1, 0x2f, 0)), '%2F.'],
  ])('%#', (name, path) => {
    expect(pathOf(name)).toBe(path)
    expect(pathOf(name)).not.toMatch(/[/?#\s]/)
    expect(nameOfPath(decodeURIComponent(path))).toEqual(name)
  })
})
