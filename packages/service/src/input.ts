/** Files that somebody named. What goes wrong with one is told with its path, which Node leaves out where it is a folder. */
import { createReadStream } from 'node:fs'
import { readFile } from 'node:fs/promises'

/** The whole of a file. */
export async function readInput(path: string): Promise<Buffer> {
  try {
    return await readFile(path)
  } catch (error) {
    return named(error as Error, path)
  }
}

/** A file in chunks. */
export async function* streamInput(path: string): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    yield* createReadStream(path) as AsyncIterable<Uint8Array>
  } catch (error) {
    named(error as Error, path)
  }
}

function named(error: Error, path: string): never {
  throw Object.assign(error, { path })
}
