/** Programs that documents use, and a machine may not have. */
import { spawnSync } from 'node:child_process'

/** Whether all of them are here. Prints which are not. */
export function programs(...names: readonly string[]): boolean {
  const missing = names.filter((name) => spawnSync('sh', ['-c', `command -v ${name}`]).status !== 0)
  if (missing.length > 0) console.log(`skipped: no ${missing.join(', ')}`)
  return missing.length === 0
}
