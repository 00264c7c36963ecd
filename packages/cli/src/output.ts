/**
 * What a command says: results on stdout, as text or as one JSON object a line; everything about the
 * progress on stderr, and only on a terminal, so that pipes see results alone. Whoever worded what is
 * said, nothing in it moves a terminal.
 */
import pc from 'picocolors'
import type { Io, Sink } from './io.ts'
import { printable, printableJson } from './printable.ts'
import { NO_PROGRESS, type Progress, ProgressLine } from './progress.ts'

/** How results are shown. */
export interface OutputOptions {
  readonly json: boolean
  readonly quiet: boolean
}

/** The voice of one command. */
export class Output {
  readonly json: boolean
  readonly colors: ReturnType<typeof pc.createColors>
  readonly #quiet: boolean
  readonly #stdout: Sink
  readonly #stderr: Sink
  #bar: ProgressLine | undefined

  constructor(options: OutputOptions, io: Pick<Io, 'env' | 'stdout' | 'stderr'>) {
    this.json = options.json
    this.#quiet = options.quiet
    this.#stdout = io.stdout
    this.#stderr = io.stderr
    // https://no-color.org: set to anything but nothing.
    const { NO_COLOR = '' } = io.env
    this.colors = pc.createColors(NO_COLOR === '' && io.stdout.isTTY === true)
  }

  /** A line for people; nothing with `--json`. */
  line(text: string, colour: (text: string) => string = String): void {
    if (this.json) return
    this.#bar?.clear()
    this.#stdout.write(`${colour(printable(text))}\n`)
  }

  /** A line about something that came (`+`), went (`-`) or changed (`~`), in its colour. */
  change(text: string): void {
    const { green, red, yellow } = this.colors
    this.line(text, { '+': green, '-': red, '~': yellow }[text.trimStart().charAt(0)])
  }

  /** An object for programs; nothing without `--json`. */
  event(value: object): void {
    if (!this.json) return
    this.#bar?.clear()
    this.#stdout.write(`${printableJson(value)}\n`)
  }

  /** Bytes or text that are the result itself, with and without `--json`. */
  raw(bytes: string | Uint8Array): void {
    this.#stdout.write(bytes)
  }

  /** A remark that is no result. */
  note(text: string): void {
    if (this.#quiet) return
    this.#bar?.clear()
    this.#stderr.write(`${printable(text)}\n`)
  }

  /** A bar on a terminal, nothing elsewhere. */
  progress(title: string, max: number): Progress {
    if (this.#quiet || this.#stderr.isTTY !== true) return NO_PROGRESS
    this.#bar = new ProgressLine(this.#stderr, title, max)
    return this.#bar
  }
}
