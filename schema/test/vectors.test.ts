/**
 * `schema/vectors/entry.json` is what another implementation checks itself against. It is generated:
 * `DSLOG_TEST_WRITE=1 npx vitest run --project unit schema/test/vectors.test.ts` writes it anew.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { toHex } from '@dslog/tlog/bytes'
import { leafHash } from '@dslog/tlog/hash'
import { dsToText } from '@dslog/dnssec/records'
import { nameToText } from '@dslog/dnssec/name'
import { decodeEntry, encodeEntry, type Entry } from '../src/entry.ts'
import { EntryError } from '../src/error.ts'
import { keysId, mapKeyOf, mapValue, stateOf } from '../src/identity.ts'
import { samples } from './samples.ts'

const FILE = new URL('../vectors/entry.json', import.meta.url)

/** What an entry says, for people and for other implementations. */
function fields(entry: Entry): Record<string, unknown> {
  switch (entry.type) {
    case 'ds':
    case 'no-ds': {
      const { historical, outOfOrder, owner, time, zone } = entry
      const head = { time, historical, out_of_order: outOfOrder, owner: nameToText(owner) }
      const ids = { keys_id: toHex(entry.keysId), state_id: toHex(stateOf(entry)) }
      const evidence =
        entry.type === 'ds'
          ? { ds: entry.ds.map(dsToText), rrsig: toHex(entry.rrsig) }
          : {
              proof: entry.proof,
              records: entry.records.map((record) => ({
                owner: nameToText(record.owner),
                type: record.type,
                rdata: toHex(record.rdata),
                rrsig: toHex(record.rrsig),
              })),
            }
      return { ...head, zone: nameToText(zone), ...ids, ...evidence }
    }
    case 'zone-keys': {
      const { historical, keys, time, zone } = entry
      const id = toHex(keysId(zone, keys))
      return { time, historical, zone: nameToText(zone), keys_id: id, keys: keys.map(toHex) }
    }
    case 'map-head': {
      const { covers, keyCount, mapRoot, previous = null, time } = entry
      return { covers, map_root: toHex(mapRoot), key_count: keyCount, previous, time }
    }
    case 'unknown':
      return {}
  }
}

const valid = samples.map(([name, entry]) => {
  const bytes = encodeEntry(entry)
  const key = mapKeyOf(entry)
  return {
    name,
    type: entry.type,
    entry: toHex(bytes),
    leaf_hash: toHex(leafHash(bytes)),
    map_key: key === undefined ? null : toHex(key),
    ...fields(entry),
  }
})

/** One broken form of each rule that a lenient decoder would let pass. */
const invalid = samples.flatMap(([name, entry]) => {
  const bytes = encodeEntry(entry)
  const broken: [string, Uint8Array][] = [
    ['trailing byte', Uint8Array.from([...bytes, 0])],
    ['last byte missing', bytes.slice(0, -1)],
  ]
  if (entry.type !== 'map-head') {
    const flags = bytes.slice()
    flags[10] = flags[10]! | 0x80
    broken.push(['reserved flag bit', flags])
  }
  return broken.map(([rule, mangled]) => {
    let error = ''
    try {
      decodeEntry(mangled)
    } catch (thrown) {
      if (thrown instanceof EntryError) error = thrown.code
    }
    return { name: `${name}: ${rule}`, entry: toHex(mangled), error }
  })
})

const values = [[], [0], [3, 5], [1, 2, 3, 4, 2 ** 53 - 1]].map((indices) => ({
  indices,
  value: toHex(mapValue(indices)),
}))

test('the published vectors are what this code makes', () => {
  const text = `${JSON.stringify({ version: 1, valid, invalid, map_values: values }, null, 1)}\n`
  if (process.env['DSLOG_TEST_WRITE'] === '1') writeFileSync(FILE, text)
  expect(invalid.every(({ error }) => error !== '')).toBe(true)
  expect(readFileSync(FILE, 'utf8')).toBe(text)
})
