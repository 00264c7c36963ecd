import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { nameFromWire, nameToText } from '@dslog/dnssec/name'
import { hrefOf, nameOfSearch, type Route, routeOf } from '../src/route.ts'

describe('addresses of pages', () => {
  it.each<[string, Route]>([
    ['', { page: 'home' }],
    ['#', { page: 'home' }],
    ['#/', { page: 'home' }],
    ['#/changes', { page: 'changes' }],
    ['#/log', { page: 'log' }],
    ['#/verify', { page: 'verify' }],
    ['#/by-hand', { page: 'by-hand' }],
    ['#/trust', { page: 'trust' }],
    ['#/watch', { page: 'watch' }],
    ['#/watch/example.org.', { page: 'watch', name: 'example.org.' }],
    ['#/name/Example.ORG', { page: 'name', name: 'example.org.' }],
    ['#/name/a%5C.b.', { page: 'name', name: 'a\\.b.' }],
    ['#/zone/@', { page: 'zone', name: '.' }],
    ['#/name/<script>', { page: 'name', name: '<script>.' }],
    ['#/entry/0', { page: 'entry', index: 0 }],
    ['#/entry/9007199254740991', { page: 'entry', index: Number.MAX_SAFE_INTEGER }],
  ])('%s', (hash, route) => {
    expect(routeOf(hash)).toEqual(route)
    // And back, in the one spelling.
    expect(routeOf(hrefOf(route))).toEqual(route)
  })

  it.each([
    '#/nothing',
    '#/name',
    '#/name/',
    '#/name/a..b',
    '#/name/%',
    '#/name/%FF',
    '#/name/a/b',
    '#/entry',
    '#/entry/01',
    '#/entry/-1',
    '#/entry/1e3',
    '#/entry/9007199254740993',
    '#/log/x',
    '#/constructor',
    '#/__proto__',
  ])('%s leads nowhere', (hash) => {
    expect(routeOf(hash)).toEqual({ page: 'unknown' })
  })

  it('hold any name there is', () => {
    const label = fc.uint8Array({ minLength: 1, maxLength: 63 })
    fc.assert(
      fc.property(fc.array(label, { maxLength: 3 }), (labels) => {
        const wire = labels.flatMap((bytes) => [bytes.length, ...bytes])
        const name = nameToText(nameFromWire(Uint8Array.from([...wire, 0])))
        expect(routeOf(hrefOf({ page: 'name', name }))).toEqual({ page: 'name', name })
      }),
    )
  })
})

describe('what people type', () => {
  it.each([
    ['example.org', 'example.org.'],
    ['  Example.ORG.  ', 'example.org.'],
    ['https://www.example.org:8443/path?query#part', 'www.example.org.'],
    ['https://user:password@example.org/', 'example.org.'],
    ['somebody@example.org', 'example.org.'],
    ['//example.org/x', undefined],
    ['example.org/path', 'example.org.'],
    ['bücher.example', 'xn--bcher-kva.example.'],
    ['.', '.'],
    ['', undefined],
    ['two words', undefined],
    ['a..b', undefined],
    ['javascript:alert(1)', 'javascript.'],
  ])('%j', (typed, name) => {
    if (name === undefined) expect(() => nameOfSearch(typed)).toThrow(/name/)
    else expect(nameOfSearch(typed)).toBe(name)
  })
})
