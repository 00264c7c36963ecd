/**
 * Where the tests of this package get their foreign data: read in place below `DSLOG_TEST_DATA`
 * (default `../shared` beside the repository), never copied. With `backends.ts` the only file of
 * these tests that knows Node, so that a browser run can put another in its place.
 */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gunzipSync } from 'node:zlib'

const repository = fileURLToPath(new URL('../../../', import.meta.url))
const root = process.env['DSLOG_TEST_DATA'] ?? join(repository, '..', 'shared')

/** Whether the data is there; tests that need it are skipped otherwise. */
export const present: boolean = existsSync(root)
if (!present) console.log(`skipped: no test data at ${root} (set DSLOG_TEST_DATA)`)

/** The bytes of a file, unpacked if it is gzipped; `path` is relative to the data folder. */
export function readBytes(path: string): Uint8Array {
  const bytes = readFileSync(join(root, path))
  return new Uint8Array(path.endsWith('.gz') ? gunzipSync(bytes) : bytes)
}

/** The text of a file, unpacked if it is gzipped. */
export function readText(path: string): string {
  return new TextDecoder().decode(readBytes(path))
}

/** One JSON value a line; nothing where the data is missing. */
export function readJsonLines<T>(path: string): T[] {
  if (!present) return []
  return readText(path)
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as T)
}
