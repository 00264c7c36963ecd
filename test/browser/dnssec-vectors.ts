/** In place of packages/dnssec/test/vectors.ts, in a browser. */
import { list, read } from './read.ts'

export const present: boolean = list('vectors/dnssec') !== undefined
if (!present) console.log('skipped: no test data (set DSLOG_TEST_DATA)')

export function readBytes(path: string): Uint8Array {
  return read(path, true)
}

export function readText(path: string): string {
  return new TextDecoder().decode(readBytes(path))
}

export function readJsonLines<T>(path: string): T[] {
  if (!present) return []
  return readText(path)
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as T)
}
