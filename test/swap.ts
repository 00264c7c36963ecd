/** A vite plugin that puts modules of tests in the place of others. */
import { basename, join, relative } from 'node:path'
import type { Plugin } from 'vite'
import { REPOSITORY } from './repository.ts'

/** The plugin. @param swaps modules, and what every other module gets in their place: paths in the repository */
export function swapping(swaps: Readonly<Record<string, string>>): Plugin {
  const names = new Set(Object.keys(swaps).map((path) => basename(path, '.ts')))
  return {
    name: 'dslog-swapping',
    enforce: 'pre',
    async resolveId(source, importer, options) {
      if (importer === undefined || !names.has(basename(source, '.ts'))) return null
      const resolved = await this.resolve(source, importer, { ...options, skipSelf: true })
      const swap = resolved && swaps[relative(REPOSITORY, resolved.id)]
      return swap === undefined || swap === null ? null : join(REPOSITORY, swap)
    },
  }
}
