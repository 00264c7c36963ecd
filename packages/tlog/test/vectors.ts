/**
 * Where the tests of this package get their foreign vectors: read in place below `DSLOG_TEST_DATA` (default `../shared`
 * beside the repository), never copied. The only file of these tests that knows Node, so that a browser run can put
 * another in its place.
 */
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const repository = fileURLToPath(new URL('../../../', import.meta.url))
const root = join(
  process.env['DSLOG_TEST_DATA'] ?? join(repository, '..', 'shared'),
  'vectors',
  'tlog',
)

/** Whether the vectors are there; tests that need them are skipped otherwise. */
export const present: boolean = existsSync(root)
if (!present) console.log(`skipped: no vectors at ${root} (set DSLOG_TEST_DATA)`)

/** Whether the long tests are wanted. */
export const nightly: boolean = Boolean(process.env['DSLOG_TEST_NIGHTLY'])

/** The bytes of a vector file; `path` is relative to `vectors/tlog`. */
export function readBytes(path: string): Uint8Array {
  return new Uint8Array(readFileSync(join(root, path)))
}

/** The text of a vector file. */
export function readText(path: string): string {
  return readFileSync(join(root, path), 'utf8')
}

/** A JSON vector file, as the type the caller knows it to have. */
export function readJson<T>(path: string): T {
  return JSON.parse(readText(path)) as T
}

/** The paths of all files below a folder of the vectors, sorted. */
export function listFiles(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1))
    .sort()
}
