/**
 * A server in a process of its own with nothing behind it: it answers again what a log has answered, and receives what it is
 * sent. How long readers wait for it is what the machine takes, and whoever makes the flood on it.
 *
 *   node --import tsx flood-bare.ts PORT URL
 */
import { createServer, type ServerResponse } from 'node:http'

const [port, log] = process.argv.slice(2)
const answers = new Map<string, Buffer>()

async function answer(path: string, response: ServerResponse): Promise<void> {
  let known = answers.get(path)
  if (known === undefined) {
    known = Buffer.from(await (await fetch(`${log}${path}`)).arrayBuffer())
    answers.set(path, known)
  }
  response.end(known)
}

createServer((request, response) => {
  if (request.method === 'GET') void answer(request.url!, response)
  else request.resume().on('end', () => response.end('{}'))
}).listen(Number(port), '127.0.0.1')
