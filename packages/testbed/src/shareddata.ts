/** Other people's data and vectors, which stay outside the repository and are read in place. */
import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Their folder: `DSLOG_TEST_DATA`, or `shared` beside the repository. */
export const SHARED: string = resolve(
  process.env['DSLOG_TEST_DATA'] ?? fileURLToPath(new URL('../../../../shared', import.meta.url)),
)

/** A file or folder of theirs; `undefined`, and a line that says so, where it is not there. */
export function sharedPath(path: string): string | undefined {
  const found = join(SHARED, path)
  if (existsSync(found)) return found
  console.log(`skipped: no ${path} at ${SHARED} (set DSLOG_TEST_DATA)`)
  return undefined
}
