/** What the browser run puts in place of files: a vite plugin that serves the folder of test data, read-only. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { basename, join, normalize, relative, sep } from 'node:path'
import { gunzipSync } from 'node:zlib'
import type { Plugin } from 'vite'
import { REPOSITORY } from '../repository.ts'

const data = process.env['DSLOG_TEST_DATA'] ?? join(REPOSITORY, '..', 'shared')

/** The file or folder that a request names; undefined if it is outside the data. */
function located(path: string): string | undefined {
  const inside = normalize(decodeURIComponent(path))
  return inside.startsWith('..') || inside.startsWith(sep) ? undefined : join(data, inside)
}

function answerOf(url: URL): string | undefined {
  const path = located(url.pathname.slice(1))
  if (path === undefined || !existsSync(path)) return undefined
  if (url.searchParams.has('list')) {
    const files = readdirSync(path, { recursive: true, withFileTypes: true }).filter((entry) =>
      entry.isFile(),
    )
    return JSON.stringify(files.map((entry) => relative(data, join(entry.parentPath, entry.name))))
  }
  const bytes = readFileSync(path)
  const unpack = url.searchParams.has('unpack') && basename(path).endsWith('.gz')
  return (unpack ? gunzipSync(bytes) : bytes).toString('base64')
}

/**
 * The plugin. `/@vectors/<path>` answers a file of the test data in base64, since the browser's side reads it
 * synchronously and so as text; `?unpack` unpacks it first; `?list` answers the paths of all files below a folder.
 */
export function servedFiles(): Plugin {
  return {
    name: 'dslog-served-files',
    configureServer(server) {
      server.middlewares.use('/@vectors', (request, response) => {
        const answer = answerOf(new URL(request.url ?? '/', 'http://localhost'))
        response.statusCode = answer === undefined ? 404 : 200
        response.setHeader('content-type', 'text/plain')
        response.end(answer)
      })
    },
  }
}
