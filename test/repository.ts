/** Where this repository is, and how Node runs what is in it. */
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const REPOSITORY: string = fileURLToPath(new URL('../', import.meta.url))

/** The command line, as built. */
export const DSLOG: string = join(REPOSITORY, 'packages/cli/bin/dslog.js')

/** What Node is told before the path of a program in TypeScript, to run it and all packages as they stand, not as built. */
export const FROM_SOURCE: readonly string[] = ['--conditions=@dslog/source', '--import', 'tsx']
