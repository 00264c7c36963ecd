/** Files that somebody named. What goes wrong with one is told with its path, which Node leaves out where it is a folder. */
import { createReadStream } from 'node:fs'

/** The largest file that is read whole, in bytes; that of a policy, a key or a note has some kilobytes. */
const MAX_INPUT_BYTES = 16 * 1024 * 1024

/** The whole of a file. Throws what the system says, with `code` EFBIG for one that is larger than any that is meant. */
export async function readInput(path: string): Promise<Buffer> {
  return readWhole(streamInput(path), MAX_INPUT_BYTES, () => tooLarge(path))
}

/** All that comes of something that may have no end, such as a pipe. @throws `tooMuch` for more than `limit` bytes */
export async function readWhole(
  input: AsyncIterable<Uint8Array>,
  limit: number,
  tooMuch: () => Error,
): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  let length = 0
  for await (const chunk of input) {
    length += chunk.length
    if (length > limit) throw tooMuch()
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
