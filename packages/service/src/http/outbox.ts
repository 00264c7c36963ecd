/**
 * Answers that are made in one turn of the event loop go out together, when all that has come in has been read. Each write
 * to a socket wakes who waits at its other end, where that is on the same machine, such as a proxy; that takes as long as a
 * sixth of an answer. Who gets the second before it has gone back to sleep need not be woken again.
 *
 * It is for processes whose turns are short. One that takes submissions has long ones while it is flooded, and an answer must
 * not wait for their end.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { Batch } from '../batch.ts'

/** What is to be written to the sockets of a server. */
export class Outbox {
  readonly #writes = new Batch<() => void>(setImmediate, (write) => write())

  #isOpen = false

  /** From now on what is written to connections of the server goes through here. */
  open(server: Server): void {
    this.#isOpen = true
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
    if (this.#isOpen) this.#writes.add(work)
    else work()
  }

  /** Puts itself before what implements the stream, which nobody calls but the stream. */
  #take(socket: Socket): void {
    const write = socket._write.bind(socket)
    const writev = socket._writev!.bind(socket)
    socket._write = (chunk, encoding, done) => {
      this.#writes.add(() => write(chunk, encoding, done))
    }
    socket._writev = (chunks, done) => {
      this.#writes.add(() => writev(chunks, done))
    }
  }

  #giveBack(socket: Socket): void {
    this.#writes.flush()
    for (const own of ['_write', '_writev']) Reflect.deleteProperty(socket, own)
  }
}
