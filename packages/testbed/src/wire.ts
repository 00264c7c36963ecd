/**
 * A TCP connection between a program and a server on the loopback interface that can be cut, or left open while nothing
 * comes through, and mended again: an outage of the server as the program sees it, with the server left as it is.
 */
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'

/** See the head of this file. */
export class Wire {
  readonly #to: number
  readonly #sockets = new Set<Socket>()
  #server: Server | undefined
  #port = 0
  #isStill = false

  private constructor(to: number) {
    this.#to = to
  }

  /** @param to port of the server */
  static async to(to: number): Promise<Wire> {
    const wire = new Wire(to)
    await wire.mend()
    return wire
  }

  /** What to connect to instead of the server. */
  get port(): number {
    return this.#port
  }

  /** Breaks what is connected, and refuses what comes. */
  async cut(): Promise<void> {
    const server = this.#server
    this.#server = undefined
    for (const socket of this.#sockets) socket.destroy()
    if (server === undefined) return
    server.close()
    await once(server, 'close')
  }

  /** Lets connections be, and nothing through them; new ones get no answer. */
  still(): void {
    this.#isStill = true
    for (const socket of this.#sockets) socket.pause()
  }

  /** All is as it was, on the same port. */
  async mend(): Promise<void> {
    this.#isStill = false
    for (const socket of this.#sockets) socket.resume()
    if (this.#server !== undefined) return
    const server = createServer((socket) => this.#join(socket)).listen(this.#port, '127.0.0.1')
    await once(server, 'listening')
    this.#port = (server.address() as AddressInfo).port
    this.#server = server
  }

  #join(near: Socket): void {
    const far = connect(this.#to, '127.0.0.1')
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      this.#sockets.add(socket)
      socket.on('data', (chunk: Buffer) => other.write(chunk))
      socket.on('end', () => other.end())
      socket.on('error', () => other.destroy())
      socket.on('close', () => {
        this.#sockets.delete(socket)
        other.destroy()
      })
      if (this.#isStill) socket.pause()
    }
  }
}
