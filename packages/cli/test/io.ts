/** A process of its own for each call of a command in a test: what it reads, and what it wrote. */
import { Writable } from 'node:stream'
import { installNodeCrypto } from '@dslog/service/crypto'
import type { ExitCode } from '../src/failure.ts'
import type { Io, Sink } from '../src/io.ts'
import { run } from '../src/program.ts'

installNodeCrypto()

/** A stream that remembers. */
export class Memory extends Writable implements Sink {
  readonly isTTY: boolean
  readonly columns: number
  readonly #chunks: Buffer[] = []

  constructor(isTTY = false, columns = 80) {
    super()
    this.isTTY = isTTY
    this.columns = columns
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.#chunks.push(chunk)
    done()
  }

  get bytes(): Uint8Array {
    return Buffer.concat(this.#chunks)
  }

  get text(): string {
    return Buffer.concat(this.#chunks).toString()
  }
}

/** Edges of a process, with its output at hand. */
export interface TestIo extends Io {
  readonly stdout: Memory
  readonly stderr: Memory
}

export function testIo(
  options: { env?: Io['env']; stdin?: Uint8Array; tty?: boolean } = {},
): TestIo {
  const { env = {}, stdin = new Uint8Array(0), tty = false } = options
  async function* input() {
    yield stdin
  }
  return { env, stdin: input(), stdout: new Memory(tty), stderr: new Memory(tty) }
}

/** What a call left behind. */
export interface Called {
  readonly code: ExitCode
  readonly stdout: string
  readonly bytes: Uint8Array
  readonly stderr: string
  /** Of `--json`. */
  readonly events: Record<string, unknown>[]
}

/** Calls `dslog` within this process. */
export async function dslog(
  args: readonly string[],
  options: Parameters<typeof testIo>[0] = {},
): Promise<Called> {
  const io = testIo(options)
  const code = await run(args, io)
  const { bytes, text: stdout } = io.stdout
  const events = args.includes('--json')
    ? stdout
        .split('\n')
        .filter((line) => line.startsWith('{'))
        .map((line) => JSON.parse(line) as Record<string, unknown>)
    : []
  return { code, stdout, bytes, stderr: io.stderr.text, events }
}
