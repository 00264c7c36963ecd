/** A client made of sockets, which sends what it is given and takes what comes, right or wrong. */
import { createSocket, type Socket as UdpSocket } from 'node:dgram'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { ByteWriter } from '@dslog/tlog/binary'
import { concat } from '@dslog/tlog/bytes'
import { parseMessage, type Message } from '@dslog/dnssec/message'
import { nameFromText } from '@dslog/dnssec/name'
import { CLASS_IN, TYPE, type RR } from '@dslog/dnssec/records'
import { encodeRecord } from '@dslog/dnssec/wire'
import { framed, optRecord } from './nameserver/packet.ts'

/** A question; for DS with DO and EDNS of 1232 bytes, unless told. */
export interface Ask {
  readonly name: string
  readonly type?: number
  readonly id?: number
  readonly flags?: number
  /** Undefined for no EDNS. */
  readonly size?: number | undefined
  readonly dnssecOk?: boolean
  readonly class?: number
}

export function encodeQuery(ask: Ask): Uint8Array {
  const { class: cls = CLASS_IN, dnssecOk = true, flags = 0, id = 4711, name, type = TYPE.DS } = ask
  const size = 'size' in ask ? ask.size : 1232
  const opt = size === undefined ? [] : [encodeRecord(optRecord(size, dnssecOk, 0))]
  const header = new ByteWriter().u16(id).u16(flags).u16(1).u16(0).u16(0).u16(opt.length)
  const question = new ByteWriter().bytes(wireOf(name)).u16(type).u16(cls)
  return concat(header.finish(), question.finish(), ...opt)
}

/** The name with its case. */
function wireOf(text: string): Uint8Array {
  const wire = new Uint8Array(nameFromText(text))
  const labels = text === '.' ? [] : text.replace(/\.$/, '').split('.')
  let at = 0
  for (const label of labels) {
    wire.set(new TextEncoder().encode(label), at + 1)
    at += 1 + label.length
  }
  return wire
}

/** What came by UDP, and from where. */
export interface Datagram {
  readonly bytes: Uint8Array
  readonly from: string
  readonly port: number
}

/** How long an answer may take on a busy machine, ms. */
const PATIENCE_MS = 30_000

/** Asks by UDP, from one port. */
export class UdpAsker {
  /** Datagrams that `ask` did not take: of another id than it had sent. */
  strays = 0
  readonly #socket: UdpSocket
  readonly #to: string
  readonly #port: number
  readonly #came: Datagram[] = []
  #lastId = 0

  private constructor(socket: UdpSocket, to: string, port: number) {
    this.#socket = socket
    this.#to = to
    this.#port = port
    socket.on('message', (bytes, { address, port: from }) => {
      this.#came.push({ bytes: new Uint8Array(bytes), from: address, port: from })
      socket.emit('came')
    })
  }

  static async open(to: string, port: number, from?: string): Promise<UdpAsker> {
    const socket = createSocket(to.includes(':') ? 'udp6' : 'udp4')
    socket.bind(0, from)
    await once(socket, 'listening')
    return new UdpAsker(socket, to, port)
  }

  get port(): number {
    return this.#socket.address().port
  }

  send(bytes: Uint8Array): void {
    this.#socket.send(bytes, this.#port, this.#to)
  }

  /** The next that came, or comes. */
  async next(): Promise<Datagram> {
    while (this.#came.length === 0) await once(this.#socket, 'came')
    return this.#came.shift()!
  }

  /** The answer to a question, with its id, which is a new one unless told. */
  async ask(ask: Ask): Promise<Message> {
    const { id = ++this.#lastId } = ask
    this.send(encodeQuery({ ...ask, id }))
    for (;;) {
      const { bytes } = await this.#soon()
      if (id === bytes[0]! * 256 + bytes[1]!) return parseMessage(bytes)
      this.strays++
    }
  }

  /** The next, if it comes at all. */
  async #soon(): Promise<Datagram> {
    const late = new AbortController()
    const timer = setTimeout(() => late.abort(), PATIENCE_MS)
    try {
      while (this.#came.length === 0) await once(this.#socket, 'came', { signal: late.signal })
      return this.#came.shift()!
    } catch (cause) {
      throw new Error(`no answer from ${this.#to} in ${PATIENCE_MS} ms`, { cause })
    } finally {
      clearTimeout(timer)
    }
  }

  close(): void {
    this.#socket.close()
  }
}

/** Asks by TCP, on one connection. */
export class TcpAsker {
  readonly #socket: Socket
  #held: Uint8Array = new Uint8Array()
  #isOver = false

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.on('data', (chunk: Uint8Array) => {
      this.#held = concat(this.#held, chunk)
      socket.emit('came')
    })
    socket.on('error', () => undefined)
    socket.on('close', () => {
      this.#isOver = true
      socket.emit('came')
    })
  }

  static async open(to: string, port: number): Promise<TcpAsker> {
    const socket = connect(port, to)
    const asker = new TcpAsker(socket)
    await once(socket, 'connect')
    return asker
  }

  /** Sends bytes as they are. */
  write(bytes: Uint8Array): void {
    this.#socket.write(bytes)
  }

  send(message: Uint8Array): void {
    this.write(framed(message))
  }

  /** The next message; undefined, and what is left of one, when the connection was closed. */
  async next(): Promise<Uint8Array | undefined> {
    for (;;) {
      const end = this.#held.length < 2 ? Infinity : 2 + this.#held[0]! * 256 + this.#held[1]!
      if (this.#held.length >= end) {
        const message = this.#held.slice(2, end)
        this.#held = this.#held.slice(end)
        return message
      }
      if (this.#isOver) return undefined
      await once(this.#socket, 'came')
    }
  }

  /** What came of a message that did not all come. */
  get rest(): Uint8Array {
    return this.#held
  }

  async ask(ask: Ask): Promise<Message> {
    this.send(encodeQuery(ask))
    return parseMessage((await this.next())!)
  }

  close(): void {
    this.#socket.destroy()
  }
}

/** The records of some types in a message, in any section. */
export function ofType(message: Message, ...types: readonly number[]): RR[] {
  const all = [...message.answer, ...message.authority, ...message.additional]
  return all.filter(({ type }) => types.includes(type))
}
