/**
 * The forwarder: takes questions by UDP and TCP, has the resolver behind it answer, and lets the answer out if
 * every delegation that it hangs from may pass. Listens on the loopback interface alone: what answers
 * strangers is a weapon.
 *
 * Anyone on this machine may send anything. What cannot be read costs its own bytes; what is under way, kept
 * open and remembered has limits.
 */
import { createSocket, type Socket as UdpSocket } from 'node:dgram'
import { once } from 'node:events'
import { type AddressInfo, createServer, isIPv6, type Server, type Socket } from 'node:net'
import { DnssecError } from '@dslog/dnssec/error'
import { parseMessage } from '@dslog/dnssec/message'
import { type Name, nameKey, readName, sameName } from '@dslog/dnssec/name'
import { TYPE } from '@dslog/dnssec/records'
import { ResolverError } from '@dslog/resolver/error'
import { Deframer, frame } from '@dslog/resolver/framing'
import type { Enforcer } from './enforcer.ts'
import { EDE, type Query, readQuery, refuse, servfail } from './query.ts'
import type { Transport, Upstream } from './upstream.ts'

/** Connections at once, the ms one may say nothing, and the questions under way on one. */
const MAX_CONNECTIONS = 128
const IDLE_MS = 10_000
const MAX_PIPELINED = 64
/** Answers that wait for who asked to read them, in bytes: more, and it is not going to. */
const MAX_UNREAD_BYTES = 1024 * 1024
/** Questions under way over UDP; more are dropped, and asked again by who asked. */
const MAX_DATAGRAMS = 1_000
/** Names in one answer, each of which is looked at: longer chains of aliases are followed by no resolver (RFC 1034 §3.6.2). */
const MAX_NAMES = 24

/** What a forwarder stands on. */
export interface ForwarderOptions {
  readonly upstream: Upstream
  readonly enforcer: Pick<Enforcer, 'check'>
  readonly address: string
  /** 0 for any that is free. */
  readonly port: number
  /** A fault of ours, which must not go unseen. */
  readonly onFault: (error: unknown) => void
}

/** A forwarder that listens. */
export class Forwarder {
  readonly #options: ForwarderOptions
  readonly #udp: UdpSocket
  readonly #tcp: Server
  readonly #connections = new Set<Socket>()
  #datagrams = 0
  #isClosed = false

  private constructor(options: ForwarderOptions, udp: UdpSocket, tcp: Server) {
    this.#options = options
    this.#udp = udp
    this.#tcp = tcp
    // A Buffer's `slice` does not copy; nothing behind this line knows Buffers.
    udp.on('message', (bytes, { address, port }) => {
      void this.#datagram(new Uint8Array(bytes), address, port)
    })
    // One answer that could not be sent is no reason to end.
    udp.on('error', options.onFault)
    tcp.on('connection', (connection) => this.#serve(connection))
  }

  /** Listens. Throws what the system says of an address that is taken. */
  static async open(options: ForwarderOptions): Promise<Forwarder> {
    const { address, port } = options
    const tcp = createServer()
    tcp.maxConnections = MAX_CONNECTIONS
    tcp.listen(port, address)
    await once(tcp, 'listening')
    const udp = createSocket(isIPv6(address) ? 'udp6' : 'udp4')
    try {
      udp.bind((tcp.address() as AddressInfo).port, address)
      await once(udp, 'listening')
    } catch (error) {
      tcp.close()
      udp.close()
      throw error
    }
    return new Forwarder(options, udp, tcp)
  }

  get port(): number {
    return this.#udp.address().port
  }

  async close(): Promise<void> {
    this.#isClosed = true
    for (const connection of this.#connections) connection.destroy()
    this.#udp.close()
    this.#tcp.close()
    await Promise.all([once(this.#udp, 'close'), once(this.#tcp, 'close')])
  }

  async #datagram(bytes: Uint8Array, address: string, port: number): Promise<void> {
    // Nobody can be answered at port 0, which a raw socket may give as its own.
    if (port === 0 || this.#datagrams >= MAX_DATAGRAMS) return
    this.#datagrams++
    const answer = await this.#answer(bytes, 'udp')
    this.#datagrams--
    if (answer === undefined || this.#isClosed) return
    // Who asked may be gone.
    this.#udp.send(answer, port, address, () => {})
  }

  #serve(connection: Socket): void {
    this.#connections.add(connection)
    connection.setTimeout(IDLE_MS, () => connection.destroy())
    connection.on('error', () => connection.destroy())
    connection.on('close', () => this.#connections.delete(connection))
    const deframer = new Deframer()
    let underWay = 0
    const take = async (message: Uint8Array): Promise<void> => {
      // What is not read is not sent: the other side waits.
      if (++underWay >= MAX_PIPELINED) connection.pause()
      const answer = await this.#answer(message, 'tcp')
      underWay--
      if (connection.destroyed) return
      if (answer === undefined || connection.writableLength > MAX_UNREAD_BYTES) {
        connection.destroy()
        return
      }
      connection.write(frame(answer))
      connection.resume()
    }
    connection.on('data', (chunk: Uint8Array) => {
      for (const message of deframer.push(chunk)) void take(message)
    })
  }

  /** Never rejects. */
  async #answer(bytes: Uint8Array, transport: Transport): Promise<Uint8Array | undefined> {
    const query = readQuery(bytes)
    if (query === undefined) return undefined
    if ('rcode' in query) return refuse(bytes, query)
    try {
      return await this.#forward(query, transport)
    } catch (error) {
      if (error instanceof ResolverError) {
        return servfail(query, EDE.networkError, `the resolver: ${error.code}`)
      }
      this.#options.onFault(error)
      return servfail(query, EDE.other, 'a fault of dslog')
    }
  }

  async #forward(query: Query, transport: Transport): Promise<Uint8Array> {
    const { enforcer, upstream } = this.#options
    const answer = await upstream.forward(query, transport)
    if (!query.isInternet) return answer
    const names = namesIn(answer)
    if (names === undefined || names.length > MAX_NAMES) {
      return servfail(query, EDE.other, 'the answer cannot be checked')
    }
    const isAsked = names.some((name) => sameName(name, query.name))
    const block = await enforcer.check(isAsked ? names : [query.name, ...names])
    return block === undefined ? answer : servfail(query, block.infoCode, block.reason)
  }
}

/** The names that an answer is about besides the one that was asked for: where aliases lead, also if nothing is there. */
function namesIn(answer: Uint8Array): Name[] | undefined {
  try {
    const names = new Map<string, Name>()
    for (const { owner, rdata, type } of parseMessage(answer).answer) {
      names.set(nameKey(owner), owner)
      if (type !== TYPE.CNAME) continue
      const { name } = readName(rdata, 0)
      names.set(nameKey(name), name)
    }
    return [...names.values()]
  } catch (error) {
    if (!(error instanceof DnssecError)) throw error
    return undefined
  }
}
