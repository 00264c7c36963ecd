/// <reference types="node" />
/**
 * The least that a server can do with one tile from memory: a route of Fastify without any plugin, or
 * with `--http` node:http alone, whatever is asked. What the log's own routes are measured against.
 */
import { randomBytes } from 'node:crypto'
import { createServer } from 'node:http'
import Fastify from 'fastify'

const tile = randomBytes(256 * 32)
const [port, bare] = process.argv.slice(2)
if (bare === '--http') {
  const server = createServer((_request, response) => {
    response.writeHead(200, { 'content-length': tile.length }).end(tile)
  })
  server.listen(Number(port), '127.0.0.1')
} else {
  const app = Fastify()
  app.get('/*', (_request, reply) => reply.type('application/octet-stream').send(tile))
  await app.listen({ port: Number(port), host: '127.0.0.1' })
}
