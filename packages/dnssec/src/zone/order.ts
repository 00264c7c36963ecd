/**
 * Canonical order of names (RFC 4034 §6.1) as order of strings, for sorting a whole zone.
 *
 * The key of a name is its labels from the right, each byte one higher than it is, each label ended
 * by a zero:
 *
 *     a.example.   →   "example" + 1 each, 0, "a" + 1, 0
 *
 * Keys compare as names do; a name is at or below another if its key begins with the other's key; and
 * equal names have equal keys. So one string serves as key of a map, for sorting and for the tree.
 */
import type { Name } from '../name.ts'

/** The key of a name. */
export function orderKey(name: Name): string {
  let key = ''
  for (let at = 0; name[at] !== 0; at += 1 + name[at]!) {
    let label = ''
    const end = at + 1 + name[at]!
    for (let p = at + 1; p < end; p++) label += String.fromCharCode(name[p]! + 1)
    key = `${label}\0${key}`
  }
  return key
}

/** The key of the name without its first label; the root's has none: `RangeError`. */
export function parentKey(key: string): string {
  if (key === '') throw new RangeError('the root has no parent')
  return key.slice(0, key.lastIndexOf('\0', key.length - 2) + 1)
}

/** Order of keys: that of the names. */
export function compareKeys(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

/**
 * Where `key` is, or would be, among keys in order: the index of the last that is not above it; -1 if
 * all are.
 */
export function lastNotAbove(keys: readonly string[], key: string): number {
  let from = 0
  let to = keys.length
  while (from < to) {
    const middle = (from + to) >>> 1
    if (keys[middle]! <= key) from = middle + 1
    else to = middle
  }
  return from - 1
}
