/**
 * One name server at one address: its sockets for UDP and TCP (RFC 7766: many questions a connection,
 * a new one before the last is answered), and how a question's reply gets back to who asked.
 */
import { createSocket, type Socket as UdpSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { readQuery } from './query.ts'
import { answer, encodeBroken, encodeReply, udpLimit, type Source } from './responder.ts'

/** How long a connection may say nothing, in ms. */
const IDLE = 10_000
/** Room for questions that come while others are answered, in bytes: a crawler sends thousands at once. */
const RECEIVE_BUFFER = 4 * 1024 * 1024

export class Listener {
  readonly address: string
  readonly #udp: UdpSocket
  readonly #tcp: Server
  readonly #connections = new Set<Socket>()
  readonly #sources: () => readonly Source[]

  private constructor(
    address: string,
    udp: UdpSocket,
    tcp: Server,
    sources: () => readonly Source[],
  ) {
    this.address = address
    this.#udp = udp
    this.#tcp = tcp
    this.#sources = sources
    udp.on('message', (bytes, from) => {
      const reply = this.#reply(bytes, 'udp')
      // Who asked may be gone by now; that is no concern of a server's.
      if (reply !== undefined) udp.send(reply, from.port, from.address, () => undefined)
    })
    tcp.on('connection', (connection) => this.#serve(connection))
  }

  /**
   * Opens both sockets at an address, on one port.
   * @param port 0 for any that is free
   */
  static async open(
    address: string,
    port: number,
    sources: () => readonly Source[],
  ): Promise<Listener> {
    const tcp = createServer()
    tcp.listen(port, address)
    await once(tcp, 'listening')
    const udp = createSocket({ type: address.includes(':') ? 'udp6' : 'udp4' })
    try {
      udp.bind((tcp.address() as AddressInfo).port, address)
      await once(udp, 'listening')
    } catch (error) {
      tcp.close()
      udp.close()
      throw error
    }
    udp.setRecvBufferSize(RECEIVE_BUFFER)
    return new Listener(address, udp, tcp, sources)
  }

  get port(): number {
    return this.#udp.address().port
  }

  async close(): Promise<void> {
    for (const connection of this.#connections) connection.destroy()
    this.#udp.close()
    this.#tcp.close()
    await Promise.all([once(this.#udp, 'close'), once(this.#tcp, 'close')])
  }

  #serve(connection: Socket): void {
    this.#connections.add(connection)
    connection.setTimeout(IDLE, () => connection.destroy())
    // A peer that resets its connection harms only itself.
    connection.on('error', () => connection.destroy())
    connection.on('close', () => this.#connections.delete(connection))
    let held = Buffer.alloc(0)
    connection.on('data', (chunk) => {
      held = Buffer.concat([held, chunk])
      while (held.length >= 2 && held.length >= 2 + held.readUInt16BE()) {
        const end = 2 + held.readUInt16BE()
        const reply = this.#reply(held.subarray(2, end), 'tcp')
        held = held.subarray(end)
        if (reply === undefined) continue
        connection.write(
          Buffer.concat([Uint8Array.of(reply.length >> 8, reply.length & 0xff), reply]),
        )
      }
    })
  }

  #reply(bytes: Uint8Array, transport: 'udp' | 'tcp'): Uint8Array | undefined {
    const query = readQuery(bytes)
    if (query === undefined) return undefined
    if (!('name' in query)) return encodeBroken(query)
    const limit = transport === 'udp' ? udpLimit(query) : undefined
    return encodeReply(query, answer(query, this.#sources()), limit)
  }
}
