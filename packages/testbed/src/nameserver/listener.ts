/**
 * The sockets of one name server, UDP and TCP (RFC 7766: many questions a connection, a new one before
 * the last is answered). What is said, and what is wrong with it, is `server.ts`'s business.
 */
import { createSocket, type Socket as UdpSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { framed } from './packet.ts'
import type { Client } from './question.ts'
import type { NameServer, Reaction } from './server.ts'

/** How long a connection may say nothing, in ms. */
const IDLE = 10_000
/** Room for questions that come while others are answered, in bytes: a crawler sends thousands at once. */
const RECEIVE_BUFFER = 4 * 1024 * 1024
/** From where answers come that are not from who was asked. */
const ELSEWHERE = '127.255.255.253'

/** A server's sockets. */
export class Listener {
  readonly server: NameServer
  readonly #udp: UdpSocket
  readonly #tcp: Server
  readonly #connections = new Set<Socket>()
  readonly #delayed = new Set<NodeJS.Timeout>()
  #elsewhere: UdpSocket | undefined

  private constructor(server: NameServer, udp: UdpSocket, tcp: Server) {
    this.server = server
    this.#udp = udp
    this.#tcp = tcp
    udp.on('message', (bytes, { address, port }) => {
      const client: Client = { address, port, transport: 'udp' }
      const reaction = server.react(bytes, client)
      if (reaction !== undefined) this.#after(reaction, () => this.#send(reaction, client))
    })
    tcp.on('connection', (connection) => this.#serve(connection))
  }

  /**
   * Opens both sockets at the server's address, on one port.
   * @param port 0 for any that is free
   */
  static async open(server: NameServer, port: number): Promise<Listener> {
    const { address } = server
    const tcp = createServer()
    tcp.listen(port, address)
    await once(tcp, 'listening')
    const udp = createSocket(address.includes(':') ? 'udp6' : 'udp4')
    try {
      udp.bind((tcp.address() as AddressInfo).port, address)
      await once(udp, 'listening')
    } catch (error) {
      tcp.close()
      udp.close()
      throw error
    }
    udp.setRecvBufferSize(RECEIVE_BUFFER)
    return new Listener(server, udp, tcp)
  }

  get port(): number {
    return this.#udp.address().port
  }

  async close(): Promise<void> {
    for (const timer of this.#delayed) clearTimeout(timer)
    for (const connection of this.#connections) connection.destroy()
    this.#elsewhere?.close()
    this.#udp.close()
    this.#tcp.close()
    await Promise.all([once(this.#udp, 'close'), once(this.#tcp, 'close')])
  }

  #after({ delay }: Reaction, send: () => void): void {
    if (delay === 0) {
      send()
      return
    }
    const timer = setTimeout(() => {
      this.#delayed.delete(timer)
      send()
    }, delay)
    this.#delayed.add(timer)
  }

  // Who asked may be gone when the answer comes. That is no concern of a server's.
  #send({ isElsewhere, messages }: Reaction, { address, port }: Client): void {
    const socket = isElsewhere ? this.#otherSocket() : this.#udp
    for (const message of messages) socket.send(message, port, address, () => undefined)
  }

  /** A socket at an address that nobody asks; with v6 there is but one, so there it is another port. */
  #otherSocket(): UdpSocket {
    if (this.#elsewhere === undefined) {
      const isV6 = this.server.address.includes(':')
      this.#elsewhere = createSocket(isV6 ? 'udp6' : 'udp4')
      this.#elsewhere.bind(0, isV6 ? '::1' : ELSEWHERE)
    }
    return this.#elsewhere
  }

  #serve(connection: Socket): void {
    if (this.server.refusesTcp()) {
      connection.destroy()
      return
    }
    this.#connections.add(connection)
    connection.setTimeout(IDLE, () => connection.destroy())
    // A peer that resets its connection harms only itself.
    connection.on('error', () => connection.destroy())
    connection.on('close', () => this.#connections.delete(connection))
    const { remoteAddress: address = '', remotePort: port = 0 } = connection
    const client: Client = { address, port, transport: 'tcp' }
    let held: Uint8Array = new Uint8Array()
    connection.on('data', (chunk: Uint8Array) => {
      held = Buffer.concat([held, chunk])
      for (;;) {
        const end = 2 + held[0]! * 256 + held[1]!
        if (!(held.length >= end)) return
        const reaction = this.server.react(held.subarray(2, end), client)
        held = held.subarray(end)
        if (reaction !== undefined) this.#after(reaction, () => write(connection, reaction))
      }
    })
  }
}

/** Writes messages, the last one perhaps by half. */
function write(connection: Socket, { isCutOff, messages }: Reaction): void {
  const frames = [...messages].map(framed)
  const bytes = Buffer.concat(frames)
  if (isCutOff) connection.end(bytes.subarray(0, -(frames.at(-1)!.length >> 1)))
  else connection.write(bytes)
}
