/**
 * Strict numbers and booleans in query and path. Everything there is text; Ajv's own coercion would take '1e3', '', ' 7'
 * and 'null' for numbers. Here an integer is written in decimal digits, without sign or leading zero, and is a safe
 * integer; a boolean is `true` or `false`. Anything else stays text and fails validation under its own name.
 */
import fp from 'fastify-plugin'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { parseDecimal } from '@dslog/tlog/bytes'

type Converter = (text: string) => unknown

/** The number a decimal text stands for, or the text. */
export function strictInteger(text: string): number | string {
  return parseDecimal(text) ?? text
}

const CONVERTERS: Readonly<Record<string, Converter>> = {
  integer: strictInteger,
  boolean: (text) => (text === 'true' ? true : text === 'false' ? false : text),
}

/** Which members of a schema are converted, and how. */
function converters(schema: unknown): [string, Converter][] {
  const { properties } = (schema ?? {}) as { properties?: Record<string, { type?: unknown }> }
  return Object.entries(properties ?? {}).flatMap(([name, { type }]) => {
    const convert = typeof type === 'string' ? CONVERTERS[type] : undefined
    return convert === undefined ? [] : [[name, convert]]
  })
}

function convertAll(values: unknown, all: readonly [string, Converter][]): void {
  const record = values as Record<string, unknown>
  for (const [name, convert] of all) {
    const value = record[name]
    // A name given twice is an array: left so, and refused.
    if (typeof value === 'string') record[name] = convert(value)
  }
}

/** Converts, for each route, what its schemas declare as integer or boolean. */
export default fp(function strictQuery(app: FastifyInstance, _options, done) {
  app.addHook('onRoute', (route) => {
    const query = converters(route.schema?.querystring)
    const path = converters(route.schema?.params)
    if (query.length === 0 && path.length === 0) return
    const before = route.preValidation ?? []
    route.preValidation = [
      (request: FastifyRequest, _reply: unknown, next: () => void) => {
        convertAll(request.query, query)
        convertAll(request.params, path)
        next()
      },
      ...(Array.isArray(before) ? before : [before]),
    ]
  })
  done()
})
