import { describe, expect, test, vi } from 'vitest'
import { type Hash, sha256 } from '@dslog/tlog/hash'
import { utf8 } from '@dslog/tlog/bytes'
import { nameFromText } from '@dslog/dnssec/name'
import { MapKind } from '@dslog/schema/identity'
import { type FoldChanges, keyText, type NameChange } from '@dslog/verify/foldstore'
import type { History } from '@dslog/verify/history'
import type { ZoneKeys } from '@dslog/verify/keys'
import { MemoryStore } from '@dslog/verify/memory'
import { type Ahead, AheadStore } from '../src/ahead.ts'
import { KeyFilter } from '../src/keyfilter.ts'

function key(text: string): Hash {
  return sha256(utf8(text))
}

function changed(text: string, indices: readonly number[], from: number): NameChange {
  const history = indices.map((index) => ({ index })) as unknown as History
  const name = nameFromText(`${text}.`)
  const fresh = indices[0]! >= from
  const [kind, inForce] = [MapKind.delegation, undefined]
  return { key: key(text), text: keyText(key(text)), kind, name, history, fresh, inForce }
}

function keySet(index: number, text = 'keys'): ZoneKeys {
  return { index, keysId: key(text) } as ZoneKeys
}

function changes(from: number, names: Record<string, number[]>, zoneKeys: ZoneKeys[]): FoldChanges {
  const entries = Object.entries(names).map(([text, indices]) => changed(text, indices, from))
  return { names: entries, zoneKeys, buckets: [] }
}

/** Tables with entries up to 9, and a transaction with those from 10 on, which they show once it is `stored`. */
function during({ stored = false } = {}) {
  const before = changes(1, { old: [3], grown: [4] }, [keySet(1), keySet(2, 'other')])
  const underway = changes(10, { grown: [4, 11], fresh: [12] }, [keySet(10), keySet(13)])
  const tables = new MemoryStore()
  const known = new KeyFilter()
  for (const one of [before, underway]) {
    for (const { key } of one.names) known.add(key)
    if (one === before || stored) tables.apply(one)
  }
  const asked = vi.spyOn(tables, 'histories')
  const ahead: Ahead = { changes: underway, from: 10 }
  return { asked, tables, known, ahead, store: new AheadStore(tables, known, ahead) }
}

describe.each([{ stored: false }, { stored: true }])(
  'during a load, what is on its way stored: $stored',
  (when) => {
    test('a history is the newest one, wherever it is', async () => {
      const { asked, store } = during(when)
      const found = await store.histories(['old', 'grown', 'fresh', 'none'].map(key))
      const indices = [...found].map(([text, history]) => [text, history.map(({ index }) => index)])
      expect(new Map(indices as [string, number[]][])).toEqual(
        new Map([
          [keyText(key('old')), [3]],
          [keyText(key('grown')), [4, 11]],
          [keyText(key('fresh')), [12]],
        ]),
      )
      // What is new, or on its way, is not asked for.
      expect(asked.mock.calls).toEqual([[[key('old')]]])
      asked.mockClear()
      expect((await store.histories(['fresh', 'none'].map(key))).size).toBe(1)
      expect(asked).not.toHaveBeenCalled()
    })

    test('each entry of a key set is there once, newest first', async () => {
      const { known, store, tables } = during(when)
      const indices = (found: readonly ZoneKeys[]) => found.map(({ index }) => index)
      expect(indices(await store.zoneKeys(key('keys')))).toEqual([13, 10, 1])
      expect(indices(await store.zoneKeys(key('other')))).toEqual([2])
      const settled = new AheadStore(tables, known, undefined)
      expect(indices(await settled.zoneKeys(key('keys')))).toEqual(when.stored ? [13, 10, 1] : [1])
      expect((await settled.histories([key('old'), key('none')])).size).toBe(1)
    })
  },
)
