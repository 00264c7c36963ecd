/**
 * A program or a thread in one file, for those that tests start hundreds of times: of a program's two seconds of processor
 * time for a start, loading a thousand modules takes all but a quarter of one.
 */
import { renameSync } from 'node:fs'
import { basename, join } from 'node:path'
import { buildSync } from 'esbuild'
import { REPOSITORY } from './repository.ts'

/** Where packages that are looked for at run time are found from. */
const CACHE = join(REPOSITORY, 'node_modules/.cache/dslog')

const made = new Map<string, string>()

/**
 * The bundle of a program, as it is now: made once in a process, which takes it a tenth of a second. What a program finds
 * beside its source it does not find beside its bundle; such is the thread of the embedded database.
 */
export function bundleOf(program: string): string {
  const known = made.get(program)
  if (known !== undefined) return known
  const path = join(CACHE, `${basename(program, '.ts')}.mjs`)
  // Another process may make the same one, or run it.
  const outfile = `${path}.${process.pid}`
  buildSync({
    entryPoints: [program],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    conditions: ['@dslog/source'],
    // It looks for files beside itself.
    external: ['@electric-sql/pglite'],
    // Some of what is bundled is CommonJS.
    banner: {
      js: `import { createRequire as requireOf } from 'node:module'; const require = requireOf(import.meta.url)`,
    },
    logLevel: 'error',
  })
  renameSync(outfile, path)
  made.set(program, path)
  return path
}
