/** Other people's vectors, read in place below `DSLOG_TEST_DATA` (default `../shared` beside the repository). */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root =
  process.env['DSLOG_TEST_DATA'] ?? fileURLToPath(new URL('../../../../shared', import.meta.url))

/** A JSON file of the vectors, as the type the caller knows it to have; a line says if it is not there. */
export function sharedVector<T>(path: string): T | undefined {
  const file = join(root, 'vectors', path)
  if (existsSync(file)) return JSON.parse(readFileSync(file, 'utf8')) as T
  console.log(`skipped: no ${path} at ${root} (set DSLOG_TEST_DATA)`)
  return undefined
}
