/** Other people's vectors, read in place. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { sharedPath } from '@dslog/testbed/shareddata'

/** A JSON file of the vectors, as the type the caller knows it to have; a line says if it is not there. */
export function sharedVector<T>(path: string): T | undefined {
  const file = sharedPath(join('vectors', path))
  return file === undefined ? undefined : (JSON.parse(readFileSync(file, 'utf8')) as T)
}
