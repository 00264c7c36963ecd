/** Files that somebody named. What goes wrong with one is told with its path, which Node leaves out where it is a folder. */
import { createReadStream } from 'node:fs'

/** The largest file that is read whole, in bytes; that of a policy, a key or a note has some kilobytes. */
const MAX_INPUT_BYTES = 16 * 1024 * 1024

/** The whole of a file. Throws what the system says, with `code` EFBIG for one that is larger than any that is meant. */
export async function readInput(path: string): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  let length = 0
  for await (const chunk of streamInput(path)) {
    length += chunk.length
    // A device or a pipe may have no end.
    if (length > MAX_INPUT_BYTES) throw tooLarge(path)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

/** A file in chunks. */
export async function* streamInput(path: string): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    yield* createReadStream(path) as AsyncIterable<Uint8Array>
  } catch (error) {
    throw Object.assign(error as Error, { path })
  }
}

function tooLarge(path: string): Error {
  const error = new Error(`${path}: over ${MAX_INPUT_BYTES} bytes`)
  return Object.assign(error, { code: 'EFBIG', path })
}
