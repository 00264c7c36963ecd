import { describe, expect, it } from 'vitest'
import { type LogMemory, Memory, type Store, vkeysOf } from '../src/memory.ts'
import type { Proven } from '../src/protocol.ts'

/** Storage as a browser has it. */
class Stored implements Store {
  readonly items = new Map<string, string>()
  full = false
  getItem = (key: string): string | null => this.items.get(key) ?? null
  setItem(key: string, value: string): void {
    if (this.full) throw new Error('QuotaExceededError')
    this.items.set(key, value)
  }
  removeItem(key: string): void {
    this.items.delete(key)
  }
  key = (index: number): string | null => [...this.items.keys()][index] ?? null
  get length(): number {
    return this.items.size
  }
}

const LOG = 'https://log.example/ds'
const KEPT: LogMemory = {
  origin: 'log.example/ds',
  policy: 'log log.example/ds+0a+AQ==\nquorum none\n',
  policyFrom: 'log',
  since: 1_790_000_000_000,
}

function proven(size: number, origin = KEPT.origin): Proven {
  const tree = { origin, size, root: '', note: `note ${size}`, keyId: '', witnesses: [] }
  return {
    kind: 'checkpoint',
    tree: { ...tree, quorum: undefined },
    entries: [],
    trust: { policy: '', policyFrom: 'log', since: 0 },
    took: 1,
  }
}

describe('what is remembered', () => {
  it('is there after a visit, for each log by itself', () => {
    const store = new Stored()
    const memory = new Memory(store)
    memory.set(LOG, KEPT)
    memory.set('https://other.example', {
      ...KEPT,
      origin: 'other',
      anchors: '. DS …',
      monitor: 'm',
    })
    const later = new Memory(store)
    expect(later.get(LOG)).toEqual(KEPT)
    expect(later.get('https://third.example')).toBeUndefined()
    expect(Object.keys(later.trusts()).sort()).toEqual(['log.example/ds', 'other'])
    expect(later.trusts()['other']).toMatchObject({ anchors: '. DS …' })
    later.forget(LOG)
    expect(new Memory(store).get(LOG)).toBeUndefined()
  })

  it.each([
    ['came first', { since: KEPT.since + 1 }, {}],
    ['the person gave', {}, { policyFrom: 'you', since: KEPT.since + 1 }],
  ] as const)('of two logs under one origin counts what %s', (_, impostor, real) => {
    const logs = [
      [LOG, { ...KEPT, ...real }],
      ['https://evil.example', { ...KEPT, policy: 'of an impostor', ...impostor }],
    ] as const
    for (const order of [logs, logs.toReversed()]) {
      const memory = new Memory(undefined)
      for (const [log, kept] of order) memory.set(log, kept)
      expect(memory.trusts()[KEPT.origin]).toMatchObject({ policy: KEPT.policy, ...real })
    }
  })

  it('is the largest tree seen, of this log alone', () => {
    const memory = new Memory(new Stored())
    memory.set(LOG, KEPT)
    const seen = () => memory.get(LOG)?.seen
    memory.saw(LOG, proven(5))
    expect(seen()).toBe('note 5')
    memory.saw(LOG, proven(4))
    expect(seen()).toBe('note 5')
    memory.saw(LOG, proven(9, 'log.example/other'))
    expect(seen()).toBe('note 5')
    memory.saw(LOG, proven(6))
    expect(seen()).toBe('note 6')
    memory.saw('https://unknown.example', proven(7))
    expect(memory.get('https://unknown.example')).toBeUndefined()
  })

  it.each([
    'not JSON',
    'null',
    '[]',
    '{"origin":1}',
    '{"origin":"a","policy":"b","policyFrom":"me","since":1}',
    '{"origin":"a","policy":"b","policyFrom":"you","since":"today"}',
  ])('is not taken from %s', (text) => {
    const store = new Stored()
    store.setItem(`dslog/1 ${LOG}`, text)
    store.setItem('something else', '{}')
    expect(new Memory(store).get(LOG)).toBeUndefined()
  })

  it('lasts as long as the page where nothing can be stored', () => {
    const store = new Stored()
    store.full = true
    for (const memory of [new Memory(store), new Memory(undefined)]) {
      memory.set(LOG, KEPT)
      expect(memory.get(LOG)).toEqual(KEPT)
      memory.forget(LOG)
      expect(memory.get(LOG)).toBeUndefined()
    }
  })
})

it('the keys of a policy are those of its log lines', () => {
  const policy =
    '# log no+1+A\nlog a+1+AA== https://a.example\n \tlog\tb+2+BB==\nwitness w c+3+CC==\nlogs x\nquorum none\n'
  expect(vkeysOf(policy)).toEqual(['a+1+AA==', 'b+2+BB=='])
})
