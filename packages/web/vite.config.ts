/**
 * Builds the page into `dist/site`: static files with relative addresses, so that any host serves them
 * at any path, each also compressed once and for all.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'
import { defineConfig, type Plugin } from 'vite'

const SITE = fileURLToPath(new URL('dist/site', import.meta.url))

/** Writes `.br` and `.gz` beside each text file: a server has no time for the best compression. */
function compressed(): Plugin {
  return {
    name: 'dslog-compressed',
    apply: 'build',
    closeBundle() {
      const files = readdirSync(SITE, { recursive: true, encoding: 'utf8' })
      for (const file of files.filter((name) => /\.(html|js|css|svg)$/.test(name))) {
        const path = join(SITE, file)
        const bytes = readFileSync(path)
        const params = {
          [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY,
          [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length,
        }
        writeFileSync(`${path}.br`, brotliCompressSync(bytes, { params }))
        writeFileSync(`${path}.gz`, gzipSync(bytes, { level: constants.Z_BEST_COMPRESSION }))
      }
    },
  }
}

export default defineConfig({
  base: './',
  plugins: [compressed()],
  // Of the sources of the workspaces, as everything that is not started by `npm start`.
  resolve: { conditions: ['@dslog/source', 'module', 'browser'] },
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  worker: { format: 'es' },
  build: {
    outDir: 'dist/site',
    target: 'es2023',
    modulePreload: { polyfill: false },
    // Data URLs would need a wider policy than files do.
    assetsInlineLimit: 0,
    reportCompressedSize: false,
  },
})
