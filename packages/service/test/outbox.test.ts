/** Answers that go out together. */
import { once } from 'node:events'
import { createServer, type RequestListener, type Server } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { describe, expect, onTestFinished, test } from 'vitest'
import { Outbox } from '../src/http/outbox.ts'

const GET = 'GET / HTTP/1.1\r\nhost: a\r\n\r\n'

/** A server with an outbox, until the test ends. */
async function listen(
  listener: RequestListener,
  now?: () => number,
): Promise<{ server: Server; outbox: Outbox }> {
  const outbox = new Outbox(now)
  const server = createServer(listener)
  outbox.open(server)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return { server, outbox }
}

interface World {
  readonly server: Server
  readonly outbox: Outbox
  /** What happened, in order: `asked` and `out`, by the number of the request. */
  readonly story: string[]
}

/** A server that answers at once with the number of the request; its clock stands still. */
async function serve(
  onAsked: (number: number, socket: Socket) => void = () => {},
  now: () => number = () => 0,
): Promise<World> {
  const story: string[] = []
  let asked = 0
  const { outbox, server } = await listen(({ socket, url }, response) => {
    if (url === '/many') return response.end()
    const number = ++asked
    story.push(`asked ${number}`)
    response.once('finish', () => story.push(`out ${number}`))
    response.end(`answer ${number}`)
    onAsked(number, socket)
  }, now)
  return { server, outbox, story }
}

/** Brings about a turn of many answers: those of the next wait for one another. */
async function many(server: Server): Promise<void> {
  const sockets = await connections(server, 4)
  for (const socket of sockets) socket.write(GET.replace('/', '/many'))
  await Promise.all(sockets.map(textOf))
}

/** Connections, all of them accepted. */
async function connections(server: Server, count: number): Promise<Socket[]> {
  const { port } = server.address() as AddressInfo
  let accepted = 0
  server.on('connection', () => accepted++)
  const sockets = Array.from({ length: count }, () => connect(port, '127.0.0.1'))
  await Promise.all(sockets.map((socket) => once(socket, 'connect')))
  await expect.poll(() => accepted).toBe(count)
  return sockets
}

async function textOf(socket: Socket): Promise<string> {
  const [bytes] = (await once(socket, 'data')) as [Buffer]
  return bytes.toString()
}

describe('answers of one turn', () => {
  test('go out when all that came in has been read', async () => {
    const { server, story } = await serve()
    const sockets = await connections(server, 3)
    await many(server)
    for (const socket of sockets) socket.write(GET)
    const answers = await Promise.all(sockets.map(textOf))
    expect(new Set(answers.map((text) => /answer \d$/.exec(text)?.[0]))).toEqual(
      new Set(['answer 1', 'answer 2', 'answer 3']),
    )
    expect(story.slice(0, 3)).toEqual(['asked 1', 'asked 2', 'asked 3'])
    expect(new Set(story.slice(3))).toEqual(new Set(['out 1', 'out 2', 'out 3']))
  })

  test('come in order on one connection, each once', async () => {
    const { server } = await serve()
    const [socket] = await connections(server, 1)
    await many(server)
    socket!.write(GET.repeat(50))
    let text = ''
    socket!.on('data', (bytes: Buffer) => (text += bytes.toString()))
    await expect.poll(() => text).toContain('answer 50')
    const numbers = [...text.matchAll(/answer (\d+)/g)].map(([, number]) => Number(number))
    expect(numbers).toEqual(Array.from({ length: 50 }, (_, i) => i + 1))
  })

  test('come all to who asks in one go and then says that nothing follows', async () => {
    const { server } = await serve()
    const [socket] = await connections(server, 1)
    const others = await connections(server, 4)
    await many(server)
    let text = ''
    socket!.on('data', (bytes: Buffer) => (text += bytes.toString()))
    socket!.end(GET.repeat(5))
    for (const other of others) other.write(GET.replace('/', '/many').repeat(3))
    await once(socket!, 'close')
    expect([...text.matchAll(/answer (\d+)/g)].map(([, number]) => Number(number))).toEqual([
      1, 2, 3, 4, 5,
    ])
  })

  test('come before the connection is closed as idle', async () => {
    const { server } = await serve(() => process.nextTick(() => server.closeIdleConnections()))
    const [socket] = await connections(server, 1)
    await many(server)
    let text = ''
    socket!.on('data', (bytes: Buffer) => (text += bytes.toString()))
    socket!.write(GET)
    await once(socket!, 'close')
    expect(text).toContain('answer 1')
  })

  test('go out each by itself after a turn of few, or one that was long for other reasons', async () => {
    let time = 5_000
    let work = 0.1
    const { server, story } = await serve(
      () => {
        time += work
      },
      () => time,
    )
    const sockets = await connections(server, 4)
    const ask = async (count: number): Promise<string> => {
      story.length = 0
      const some = sockets.slice(0, count)
      for (const socket of some) socket.write(GET)
      await Promise.all(some.map(textOf))
      return story.map((event) => event.split(' ')[0]!).join(' ')
    }
    const apart = 'asked out asked out asked out asked out'
    const together = 'asked asked asked asked out out out out'
    expect(await ask(4)).toBe(apart)
    expect(await ask(4)).toBe(together)
    expect(await ask(3)).toBe('asked asked asked out out out')
    expect(await ask(4)).toBe(apart)
    work = 2
    expect(await ask(4)).toBe(together)
    expect(await ask(4)).toBe(apart)
    expect(await ask(4)).toBe(apart)
  })

  test('come before what follows them is refused', async () => {
    const { server } = await serve()
    // As Fastify's handler does where an answer is under way.
    server.on('clientError', (_error, socket) => socket.destroy())
    const [socket] = await connections(server, 1)
    await many(server)
    let text = ''
    socket!.on('data', (bytes: Buffer) => (text += bytes.toString()))
    socket!.write(GET)
    await expect.poll(() => text).toContain('answer 1')
    await many(server)
    socket!.write(`${GET}no request at all\r\n\r\n`)
    await once(socket!, 'close')
    expect(text).toContain('answer 2')
  })

  test('reach the others when a connection is gone before', async () => {
    const { server } = await serve((number, socket) => {
      if (number === 1) socket.destroy()
    })
    const sockets = await connections(server, 3)
    await many(server)
    const ends = sockets.map((socket) =>
      Promise.race([textOf(socket), once(socket, 'close').then(() => 'gone')]),
    )
    for (const socket of sockets) socket.write(GET)
    const told = (await Promise.all(ends)).map((text) => /answer \d$|gone/.exec(text)?.[0])
    expect(new Set(told)).toEqual(new Set(['answer 2', 'answer 3', 'gone']))
  })
})

test('what is to be done afterwards is done after what was written before', async () => {
  let later: () => void = () => {}
  const { server, outbox, story } = await serve(() => outbox.afterwards(() => later()))
  later = () => story.push('afterwards')
  const [socket] = await connections(server, 1)
  await many(server)
  socket!.write(GET)
  await textOf(socket!)
  expect(story).toEqual(['asked 1', 'out 1', 'afterwards'])
})

test('without a server there is nothing to wait for', () => {
  const did: string[] = []
  new Outbox().afterwards(() => did.push('at once'))
  expect(did).toEqual(['at once'])
})

test('a body larger than a socket takes at once goes out whole, and nothing waits for a slow reader', async () => {
  const size = 24 * 2 ** 20
  const { server } = await listen(({ url }, response) => {
    response.end(url === '/long' ? Buffer.alloc(size) : 'short')
  })
  const [slow, quick] = await connections(server, 2)
  slow!.pause().write('GET /long HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n')
  quick!.write(GET)
  expect(await textOf(quick!)).toContain('short')
  let length = 0
  slow!.on('data', (bytes: Buffer) => (length += bytes.length)).resume()
  await once(slow!, 'close')
  expect(length).toBeGreaterThan(size)
})
