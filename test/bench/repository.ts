/** Where this repository is, and its command line, as built. */
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const REPOSITORY: string = fileURLToPath(new URL('../..', import.meta.url))
export const DSLOG: string = join(REPOSITORY, 'packages/cli/bin/dslog.js')
