/**
 * Places from which others look at the DNS, on the loopback interface: a resolver by HTTPS (RFC 8484) in
 * front of a server that is asked over TCP, without the TLS, and a SOCKS5 proxy (RFC 1928, RFC 1929).
 */
import { createServer as createHttpServer, type ServerResponse } from 'node:http'
import { connect, createServer, type Socket } from 'node:net'
import { listenOnLoopback } from './loopback.ts'
import { framed } from './nameserver/packet.ts'

/** Media type of DNS messages by HTTP. */
const MEDIA_TYPE = 'application/dns-message'

/** A resolver by HTTP. */
export interface DohServer {
  readonly url: string
  /** Questions that came. */
  readonly asked: number
  close(): void
}

/** Handles one request of a resolver by HTTP: the message that was asked, whether by POST or GET. */
export type DohHandler = (query: Buffer, response: ServerResponse) => void

/** An HTTP server that does with questions as it is told. */
export async function startDoh(handle: DohHandler): Promise<DohServer> {
  let asked = 0
  const server = createHttpServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      asked++
      const { searchParams } = new URL(request.url!, 'http://localhost')
      const get = searchParams.get('dns')
      handle(get === null ? Buffer.concat(chunks) : Buffer.from(get, 'base64url'), response)
    })
  })
  const port = await listenOnLoopback(server)
  return {
    url: `http://127.0.0.1:${port}/dns-query`,
    get asked() {
      return asked
    },
    close() {
      server.closeAllConnections()
      server.close()
    },
  }
}

/** Hands questions on to a server, by TCP, and back what it says, changed if told so. */
export function dohFront(
  to: { readonly address: string; readonly port: number },
  change: (bytes: Buffer) => Buffer = (bytes) => bytes,
): DohHandler {
  return (query, response) => {
    const socket = connect({ host: to.address, port: to.port })
    socket.on('error', () => response.writeHead(502).end())
    socket.write(framed(query))
    const chunks: Buffer[] = []
    socket.on('data', (chunk: Buffer) => {
      chunks.push(chunk)
      const all = Buffer.concat(chunks)
      if (all.length < 2 || all.length < 2 + all.readUInt16BE()) return
      response.setHeader('content-type', MEDIA_TYPE)
      response.end(change(all.subarray(2)))
      socket.destroy()
    })
  }
}

/** A SOCKS5 proxy. */
export interface SocksProxy {
  readonly port: number
  /** User names that came, one for each connection. */
  readonly users: readonly string[]
  close(): void
}

/** Starts a proxy that takes any user, and behaves. */
export async function startSocks(
  behave: 'well' | 'refuse' | 'silent' | 'junk' = 'well',
): Promise<SocksProxy> {
  const users: string[] = []
  const open = new Set<Socket>()
  const proxy = createServer((socket) => {
    open.add(socket)
    socket.on('close', () => open.delete(socket))
    socket.on('error', () => {})
    if (behave === 'silent') return
    if (behave === 'junk') socket.write('HTTP/1.1 400 Bad Request\r\n\r\n')
    else greet(socket, behave === 'refuse', users)
  })
  const port = await listenOnLoopback(proxy)
  return {
    port,
    users,
    close() {
      for (const socket of open) socket.destroy()
      proxy.close()
    },
  }
}

/** The three steps of a client: it says how it can authenticate, who it is, and where it wants to go. */
function greet(socket: Socket, isRefused: boolean, users: string[]): void {
  let step = 0
  const onData = (data: Buffer): void => {
    step++
    if (step === 1) socket.write(Uint8Array.of(5, 2))
    else if (step === 2) {
      users.push(data.subarray(2, 2 + data[1]!).toString())
      socket.write(Uint8Array.of(1, 0))
    } else {
      socket.off('data', onData)
      const reply = Uint8Array.of(5, isRefused ? 5 : 0, 0, 1, 0, 0, 0, 0, 0, 0)
      if (isRefused) {
        socket.end(reply)
        return
      }
      const host = data.subarray(4, 8).join('.')
      const to = connect({ host, port: data.readUInt16BE(8) }, () => {
        socket.write(reply)
        socket.pipe(to).pipe(socket)
      })
      to.on('error', () => socket.destroy())
      socket.on('close', () => to.destroy())
    }
  }
  socket.on('data', onData)
}
