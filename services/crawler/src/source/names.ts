/**
 * The file of names to ask for: one a line, `#` begins a remark. It is read anew when it changes, and
 * taken over whole or not at all: a line that is no name leaves everything as it was.
 */
import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'
import { DnssecError } from '@dslog/dnssec/error'
import { nameFromTyped } from '@dslog/dnssec/idn'
import { type Name, nameKey } from '@dslog/dnssec/name'
import type { Clock } from '@dslog/service/clock'
import { BATCH_ROWS, type Frontier } from '../frontier.ts'
import { SourceError, stampOf } from './source.ts'

/** Longest line: a name with every byte escaped, and a remark. */
const MAX_LINE = 4_096

/** Reads names, in parts of some hundreds; no name twice in one of them. */
export async function* readNames(file: string): AsyncGenerator<Name[], void, undefined> {
  const lines = createInterface({ input: createReadStream(file, 'utf8'), crlfDelay: Infinity })
  let batch = new Map<string, Name>()
  let number = 0
  for await (const line of lines) {
    number++
    const text = line.replace(/#.*$/, '').trim()
    if (text === '') continue
    const name = nameOfLine(text, `${file}, line ${number}`)
    batch.set(nameKey(name), name)
    if (batch.size < BATCH_ROWS) continue
    yield [...batch.values()]
    batch = new Map()
  }
  if (batch.size > 0) yield [...batch.values()]
}

function nameOfLine(text: string, where: string): Name {
  if (text.length > MAX_LINE) throw new SourceError('refused', `${where}: too long`)
  try {
    const name = nameFromTyped(text)
    if (name.length === 1) throw new SourceError('refused', `${where}: the root is not delegated`)
    return name
  } catch (cause) {
    if (!(cause instanceof DnssecError)) throw cause
    throw new SourceError('refused', `${where}: ${cause.message}`, { cause })
  }
}

/** A file that is followed. */
export class NamesFile {
  readonly #file: string
  readonly #frontier: Frontier
  readonly #clock: Clock
  #version: string | undefined

  constructor(file: string, frontier: Frontier, clock: Clock) {
    this.#file = file
    this.#frontier = frontier
    this.#clock = clock
  }

  /**
   * Takes the file over if it has changed since the last call.
   *
   * @returns how many names it has; `undefined` if it has not changed
   * @throws SourceError `refused` for a file that is not all names, `unreachable` for none
   */
  async read(signal: AbortSignal): Promise<number | undefined> {
    const version = await stampOf(this.#file)
    if (version === this.#version) return undefined
    let count = 0
    for await (const batch of readNames(this.#file)) {
      signal.throwIfAborted()
      count += batch.length
    }
    // Every line is a name.
    const readAt = this.#clock()
    for await (const batch of readNames(this.#file)) {
      signal.throwIfAborted()
      await this.#frontier.list(batch, readAt)
    }
    if ((await stampOf(this.#file)) !== version) return this.read(signal)
    await this.#frontier.unlist(readAt)
    this.#version = version
    return count
  }
}
