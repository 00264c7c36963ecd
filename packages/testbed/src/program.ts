/**
 * Programs of other people that run beside a test: started with what they print kept for the day they
 * fail, and gone when the test is, also when it dies of an exception.
 */
import { spawn, spawnSync, type ChildProcess, type SpawnOptions } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'

/** Enough for any message of a start; of what a program prints beyond, as much is kept of the end. */
const MAX_OUTPUT = 100_000
/** Of that, what is told of a program that has ended when it should not. */
const LAST_WORDS = 4_000
/** How long a program may take to do what it was told, in ms: a busy machine, a zone of a million names. */
const READY_TIMEOUT = 300_000
/** How long a program may take to end when asked to, in ms; then it is killed. */
const END_TIMEOUT = 10_000

/** Which of some programs are not installed. */
export function missingOf(...programs: readonly string[]): string[] {
  return programs.filter((name) => spawnSync('sh', ['-c', 'command -v "$0"', name]).status !== 0)
}

/** Are all of these programs installed? If not, a line says for want of which something is skipped. */
export function isInstalled(...programs: readonly string[]): boolean {
  const missing = missingOf(...programs)
  if (missing.length > 0) console.log(`skipped: no ${missing.join(', ')}`)
  return missing.length === 0
}

/** A port of the loopback interface that nobody listens on, by TCP. */
export async function freePort(address = '127.0.0.1'): Promise<number> {
  const server = createServer().listen(0, address)
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

/** Runs a program to its end, and gives what it printed. A status that is not zero throws. */
export async function finished(child: ChildProcess): Promise<string> {
  const output = collect(child)
  const [code] = (await once(child, 'close')) as [number | null]
  if (code !== 0) throw new Error(`${child.spawnfile} ended with ${code}:\n${output()}`)
  return output()
}

/** What a process has printed, both ends of it; reading it also keeps the pipe from filling up. */
function collect(child: ChildProcess): () => string {
  let start = ''
  let end = ''
  const add = (chunk: Buffer): void => {
    const text = chunk.toString()
    const room = MAX_OUTPUT - start.length
    start += text.slice(0, room)
    if (text.length > room) end = (end + text.slice(room)).slice(-MAX_OUTPUT)
  }
  child.stdout!.on('data', add)
  child.stderr!.on('data', add)
  return () => start + end
}

/** What is to be ended with this process, and by which signal. */
const running = new Map<ChildProcess, NodeJS.Signals>()
process.once('exit', () => {
  for (const [child, signal] of running) child.kill(signal)
})

/** A program that runs until it is ended. */
export class Program {
  readonly #child: ChildProcess
  readonly #output: () => string
  #isToEnd = false

  private constructor(child: ChildProcess, signal: NodeJS.Signals) {
    this.#child = child
    this.#output = collect(child)
    running.set(child, signal)
  }

  /** @param signal that ends it at once, when the test dies */
  static start(
    command: string,
    words: readonly string[],
    options: SpawnOptions = {},
    signal: NodeJS.Signals = 'SIGTERM',
  ): Program {
    const stdio: SpawnOptions = { stdio: ['ignore', 'pipe', 'pipe'] }
    return new Program(spawn(command, words, { ...options, ...stdio }), signal)
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null
  }

  /** What it has printed so far: of very much, the beginning and the end. */
  get output(): string {
    return this.#output()
  }

  /** How it ended and what it said last, if nobody has ended it. */
  get fault(): string | undefined {
    return this.isRunning || this.#isToEnd ? undefined : this.#ended().message
  }

  /** Waits until it has printed a text; throws when it ends before. */
  async printed(text: string): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const check = (): void => {
        if (this.output.includes(text)) resolve()
      }
      this.#child.stdout!.on('data', check)
      this.#child.stderr!.on('data', check)
      this.#child.once('error', reject)
      this.#child.once('exit', () => reject(this.#ended()))
      check()
    })
  }

  /** Asks again and again until the answer is yes; throws when it ends, or takes too long. */
  async until(isReady: () => Promise<boolean>): Promise<void> {
    const start = performance.now()
    while (!(await isReady())) {
      if (performance.now() - start > READY_TIMEOUT) {
        throw new Error(`${this.#child.spawnfile} is not ready:\n${this.output}`)
      }
      if (!this.isRunning) throw this.#ended()
    }
  }

  /** Sends a signal. */
  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  /** Ends it, and waits for that. */
  async end(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    running.delete(this.#child)
    if (!this.isRunning) return
    this.#isToEnd = true
    const exited = once(this.#child, 'exit')
    this.#child.kill(signal)
    const late = setTimeout(() => this.#child.kill('SIGKILL'), END_TIMEOUT)
    await exited
    clearTimeout(late)
  }

  #ended(): Error {
    const { exitCode, signalCode, spawnfile } = this.#child
    const last = this.output.slice(-LAST_WORDS)
    return new Error(`${spawnfile} ended with ${exitCode ?? signalCode}:\n${last}`)
  }
}
