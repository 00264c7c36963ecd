/// <reference types="node" />
/** The least a Node server can do: one tile from memory, whatever is asked. What the log's own is measured against. */
import { randomBytes } from 'node:crypto'
import { createServer } from 'node:http'

const tile = randomBytes(256 * 32)
const server = createServer((_request, response) => {
  response.writeHead(200, { 'content-length': tile.length }).end(tile)
})
server.listen(Number(process.argv[2]), '127.0.0.1')
