/** A connection that is cut, still, and mended. */
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { listenOnLoopback } from '../src/loopback.ts'
import { Wire } from '../src/wire.ts'

const endings: (() => unknown)[] = []
afterEach(async () => {
  for (const end of endings.splice(0).toReversed()) await end()
})

/** A server that says back what it is told, and a wire to it. */
async function echo(): Promise<Wire> {
  const server = createServer((socket) => socket.pipe(socket).on('error', () => {}))
  const port = await listenOnLoopback(server)
  endings.push(() => server.close())
  const wire = await Wire.to(port)
  endings.push(() => wire.cut())
  return wire
}

async function connected({ port }: Wire): Promise<{ socket: Socket; heard: () => string }> {
  const socket = connect(port, '127.0.0.1')
  let text = ''
  socket.on('data', (chunk: Buffer) => (text += chunk.toString())).on('error', () => {})
  await once(socket, 'connect')
  endings.push(() => socket.destroy())
  return { socket, heard: () => text }
}

test('a wire lets everything through', async () => {
  const { heard, socket } = await connected(await echo())
  socket.write('hello')
  await expect.poll(heard).toBe('hello')
  socket.end()
  await once(socket, 'close')
})

test('one that is cut breaks what is connected and refuses the rest, until it is mended', async () => {
  const wire = await echo()
  const { socket } = await connected(wire)
  const { port } = wire
  const closed = once(socket, 'close')
  await wire.cut()
  await closed
  const [refused] = (await once(connect(port, '127.0.0.1'), 'error')) as [NodeJS.ErrnoException]
  expect(refused.code).toBe('ECONNREFUSED')
  await wire.cut()
  await wire.mend()
  expect(wire.port).toBe(port)
  const again = await connected(wire)
  again.socket.write('again')
  await expect.poll(again.heard).toBe('again')
})

test('one that is still takes everything, and gives it on when it is mended', async () => {
  const wire = await echo()
  const old = await connected(wire)
  wire.still()
  const young = await connected(wire)
  old.socket.write('old')
  young.socket.write('young')
  await new Promise((resolve) => setTimeout(resolve, 30))
  expect([old.heard(), young.heard()]).toEqual(['', ''])
  await wire.mend()
  await expect.poll(old.heard).toBe('old')
  await expect.poll(young.heard).toBe('young')
})
