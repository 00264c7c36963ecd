/**
 * The end of answers that nobody gets. When a connection breaks, Node says so, by `close`, to the answer alone that is being
 * sent on it. Others wait behind that one where a client did not wait to ask on: they are told here, or what a route gives
 * back when its answer has ended, such as a place among those that are listened to, would stay taken.
 */
import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import fp from 'fastify-plugin'
import type { FastifyInstance } from 'fastify'

/** Registers it; before any hook that waits. */
export default fp(function endPipelines(app: FastifyInstance, _options: object, done: () => void) {
  const waiting = new WeakMap<Socket, Set<ServerResponse>>()
  app.addHook('onRequest', ({ raw: { socket } }, { raw: answer }, next) => {
    if (answer.socket === null) {
      const behind = waiting.get(socket) ?? waitingOn(socket)
      waiting.set(socket, behind.add(answer))
      answer.once('socket', () => behind.delete(answer))
    }
    next()
  })
  done()
})

function waitingOn(socket: Socket): Set<ServerResponse> {
  const answers = new Set<ServerResponse>()
  socket.once('close', () => {
    for (const answer of answers) answer.destroy().emit('close')
  })
  return answers
}
