/**
 * Answers that are made in one turn of the event loop go out together, when all that has come in has been read. Each write
 * to a socket wakes who waits at its other end, where that is on the same machine, such as a proxy; that takes as long as a
 * sixth of an answer. Who gets the second before it has gone back to sleep need not be woken again.
 *
 * That is for turns of many answers and of little else, such as the one before was. Where there are few, nothing is won; and
 * a process that takes submissions has long turns while it is flooded, for whose end no answer must wait.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { Batch } from '../batch.ts'

/** Answers of a turn that are many. */
const MANY = 4
/** Longer than a turn takes for each of its answers if there is little else, ms. */
const ANSWER_MS = 0.5

/** What is to be written to the sockets of a server. */
export class Outbox {
  readonly #now: () => number
  readonly #writes = new Batch<() => void>(setImmediate, (write) => write())
  /** What has been written in this turn. */
  #count = 0
  /** Whether it waits for the end of the turn. */
  #waits = false

  /** @param now milliseconds of a clock that is never set back */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now
  }

  /** From now on what is written to connections of the server goes through here. */
  open(server: Server): void {
    server.on('connection', (socket: Socket) => this.#take(socket))
    server.prependListener('request', ({ socket }: IncomingMessage, answer: ServerResponse) => {
      // It was asked before the last answer has gone out. Answers that wait for one another must not wait for more, or the
      // connection might be closed before.
      if (answer.socket === null) this.#giveBack(socket)
    })
    // What comes behind a request that was answered is no reason to lose the answer.
    server.prependListener('clientError', this.#writes.flush)
    // To Node a connection is idle when its answer is made.
    const closeIdle = server.closeIdleConnections.bind(server)
    server.closeIdleConnections = () => {
      this.#writes.flush()
      closeIdle()
    }
  }

  /** Calls back when all that has been written so far has been handed to the system. */
  afterwards(work: () => void): void {
    if (this.#writes.size > 0) this.#writes.add(work)
    else work()
  }

  /** Puts itself before what implements the stream, which nobody calls but the stream. */
  #take(socket: Socket): void {
    const write = socket._write.bind(socket)
    const writev = socket._writev!.bind(socket)
    socket._write = (chunk, encoding, done) => this.#write(() => write(chunk, encoding, done))
    socket._writev = (chunks, done) => this.#write(() => writev(chunks, done))
  }

  #write(write: () => void): void {
    if (this.#count++ === 0) this.#watchTurn()
    if (this.#waits) this.#writes.add(write)
    else write()
  }

  #watchTurn(): void {
    const from = this.#now()
    setImmediate(() => {
      this.#waits = this.#count >= MANY && this.#now() - from < this.#count * ANSWER_MS
      this.#count = 0
    })
  }

  #giveBack(socket: Socket): void {
    this.#writes.flush()
    for (const own of ['_write', '_writev']) Reflect.deleteProperty(socket, own)
  }
}
