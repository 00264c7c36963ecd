/** In place of packages/tlog/test/vectors.ts, in a browser. */
import { list, read } from './read.ts'

const ROOT = 'vectors/tlog/'
const paths = list(ROOT)

export const present: boolean = paths !== undefined
if (!present) console.log('skipped: no vectors (set DSLOG_TEST_DATA)')

/** The long tests are Node's. */
export const nightly = false

export function readBytes(path: string): Uint8Array {
  return read(ROOT + path, false)
}

export function readText(path: string): string {
  return new TextDecoder().decode(readBytes(path))
}

export function readJson<T>(path: string): T {
  return JSON.parse(readText(path)) as T
}

export function listFiles(folder: string): string[] {
  return (paths ?? [])
    .map((path) => path.slice(ROOT.length))
    .filter((path) => path.startsWith(`${folder}/`))
    .sort()
}
