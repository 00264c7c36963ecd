/**
 * Validators for caches (RFC 9110 §8.8): what may be asked for again has an ETag, and whoever has it already is told no more
 * than that. Nothing else has one: a body that nobody can ask for by its tag, of an error above all, is not hashed. The
 * plugin of Fastify hashes those, too, answers 304 in their place, also to a POST, and knows neither `*` nor lists of tags.
 */
import fp from 'fastify-plugin'
import type { FastifyInstance } from 'fastify'
import { sha256Base64 } from '../crypto.ts'

/** Registers the hook. A tag that a route has set stays; what is sent piece by piece has none but that. */
export default fp(async function etag(app: FastifyInstance) {
  app.addHook('onSend', ({ headers, method }, reply, body, done) => {
    const isRead = method === 'GET' || method === 'HEAD'
    const isWhole = typeof body === 'string' || body instanceof Buffer
    if (!isRead || reply.statusCode !== 200 || !isWhole) return done()
    const own = reply.getHeader('etag')
    const tag = own === undefined ? `"${sha256Base64(body)}"` : String(own)
    reply.header('etag', tag)
    if (!isAmong(tag, headers['if-none-match'])) return done()
    reply.code(304)
    done(null, '')
  })
})

/** Whether a client names this tag as one that it has, whatever of the two is weak (RFC 9110 §13.1.2). */
function isAmong(tag: string, ifNoneMatch = ''): boolean {
  const known = ifNoneMatch.split(',').map(opaque)
  return known.includes('*') || known.includes(opaque(tag))
}

function opaque(tag: string): string {
  return tag.trim().replace(/^W\//, '')
}
