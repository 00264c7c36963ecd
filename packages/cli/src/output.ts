/**
 * What a command says: results on stdout, as text or as one JSON object a line; everything about the
 * progress on stderr, and only on a terminal, so that pipes see results alone.
 */
import { progress } from '@clack/prompts'
import pc from 'picocolors'

/** Where and how results go. */
export interface OutputOptions {
  readonly json: boolean
  readonly quiet: boolean
  readonly stdout?: { write(text: string): unknown }
  readonly stderr?: NodeJS.WriteStream
}

/** A long piece of work with a known end. */
export interface Progress {
  step(done: number, message?: string): void
  end(message: string): void
}

const SILENT: Progress = { step: () => {}, end: () => {} }

/** The voice of one command. */
export class Output {
  readonly json: boolean
  readonly colors: ReturnType<typeof pc.createColors> = pc.createColors(
    pc.isColorSupported && process.stdout.isTTY === true,
  )
  readonly #quiet: boolean
  readonly #stdout: { write(text: string): unknown }
  readonly #stderr: NodeJS.WriteStream

  constructor(options: OutputOptions) {
    this.json = options.json
    this.#quiet = options.quiet
    this.#stdout = options.stdout ?? process.stdout
    this.#stderr = options.stderr ?? process.stderr
  }

  /** A line for people; nothing with `--json`. */
  line(text: string): void {
    if (!this.json) this.#stdout.write(`${text}\n`)
  }

  /** An object for programs; nothing without `--json`. */
  event(value: object): void {
    if (this.json) this.#stdout.write(`${JSON.stringify(value)}\n`)
  }

  /** Bytes or text that are the result itself. */
  raw(text: string): void {
    this.#stdout.write(text)
  }

  /** A remark that is no result. */
  note(text: string): void {
    if (!this.#quiet) this.#stderr.write(`${text}\n`)
  }

  /** A bar on a terminal, nothing elsewhere. */
  progress(title: string, max: number): Progress {
    if (this.#quiet || this.#stderr.isTTY !== true) return SILENT
    const bar = progress({ max, output: this.#stderr })
    let shown = 0
    bar.start(title)
    return {
      step(done, message) {
        bar.advance(done - shown, message)
        shown = done
      },
      end: (message) => bar.stop(message),
    }
  }
}
