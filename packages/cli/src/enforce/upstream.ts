/**
 * The resolver behind us. Questions go to it as they came, over what they came over, under an id and from a
 * port of our own; its answers come back as they are, so that cookies, padding and truncation stay
 * matters of the two ends.
 */
import { createSocket } from 'node:dgram'
import { connect, isIPv6 } from 'node:net'
import { ResolverError } from '@dslog/resolver/error'
import type { Server } from '@dslog/resolver/exchange'
import { Deframer, frame } from '@dslog/resolver/framing'
import { random16 } from '@dslog/resolver/query'
import { isReplyTo } from '@dslog/resolver/reply'
import type { Query } from './query.ts'

/** What a question came over. */
export type Transport = 'udp' | 'tcp'

/** A resolver may have to walk down from the root, and to wait for servers that are dead: ms. */
const PATIENCE_MS = 8_000
/** Questions under way at once, each with a socket: less than the files that a process may open. */
const MAX_OUTSTANDING = 512

/** The resolver that answers. */
export class Upstream {
  readonly server: Required<Pick<Server, 'address' | 'port'>>
  readonly #under = new Set<() => void>()

  constructor(server: Required<Pick<Server, 'address' | 'port'>>) {
    this.server = server
  }

  /**
   * Asks, and gives the answer with the id of the question.
   *
   * @throws ResolverError `timeout`, `network`, `busy` or `aborted`
   */
  forward(query: Query, transport: Transport): Promise<Uint8Array> {
    const { server } = this
    if (this.#under.size >= MAX_OUTSTANDING) {
      const text = `${MAX_OUTSTANDING} questions are under way`
      return Promise.reject(new ResolverError('busy', text, { server }))
    }
    const asked = query.bytes.slice()
    const id = random16()
    asked[0] = id >> 8
    asked[1] = id & 0xff
    return new Promise((resolve, reject) => {
      const isOurs = (bytes: Uint8Array): boolean => isReplyTo(bytes, asked, query.end, false)
      const settle = (outcome: Uint8Array | ResolverError): void => {
        clearTimeout(timer)
        this.#under.delete(abort)
        close()
        if (outcome instanceof ResolverError) {
          reject(outcome)
          return
        }
        const answer = outcome.slice()
        answer.set(query.bytes.subarray(0, 2))
        resolve(answer)
      }
      const fail = (code: 'timeout' | 'network' | 'aborted', text: string): void =>
        settle(new ResolverError(code, `${server.address}: ${text}`, { server }))
      const abort = (): void => fail('aborted', 'closed')
      const timer = setTimeout(() => fail('timeout', 'no answer'), PATIENCE_MS)
      const way: Way = { asked, isOurs, settle, fail: (text) => fail('network', text) }
      this.#under.add(abort)
      const close = transport === 'udp' ? overUdp(this.server, way) : overTcp(this.server, way)
    })
  }

  /** Fails what is under way. */
  close(): void {
    for (const abort of this.#under) abort()
  }
}

/** One question on its way. */
interface Way {
  readonly asked: Uint8Array
  readonly isOurs: (bytes: Uint8Array) => boolean
  readonly settle: (answer: Uint8Array) => void
  readonly fail: (text: string) => void
}

/** Asks over a socket that takes datagrams of the resolver alone. Returns what closes it. */
function overUdp({ address, port }: Upstream['server'], way: Way): () => void {
  const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4')
  socket.on('error', (error) => way.fail(error.message))
  socket.on('message', (buffer) => {
    const bytes = new Uint8Array(buffer)
    if (way.isOurs(bytes)) way.settle(bytes)
  })
  let isClosed = false
  socket.connect(port, address, () => {
    if (!isClosed) socket.send(way.asked)
  })
  return () => {
    isClosed = true
    socket.close()
  }
}

/** Asks over a connection of its own. Returns what closes it. */
function overTcp({ address, port }: Upstream['server'], way: Way): () => void {
  const stream = connect({ host: address, port, noDelay: true })
  const deframer = new Deframer()
  stream.on('error', (error) => way.fail(error.message))
  stream.on('close', () => way.fail('the connection was closed'))
  stream.on('data', (chunk: Uint8Array) => {
    const answer = deframer.push(chunk).find(way.isOurs)
    if (answer !== undefined) way.settle(answer)
  })
  stream.write(frame(way.asked))
  return () => {
    stream.removeAllListeners('close')
    stream.destroy()
  }
}
