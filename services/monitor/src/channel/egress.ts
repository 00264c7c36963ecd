/**
 * HTTP to where strangers tell us to: to the public internet alone, by TLS, without redirects. A name is
 * resolved once, every address it has must be a public one, and the connection goes to one of those: a
 * name that changes its mind in between (DNS rebinding) changes nothing. Addresses in a URL never come by
 * the resolver, so they are looked at before. What an operator configures may be anywhere.
 */
import { lookup as systemLookup } from 'node:dns'
import { isIP, type LookupFunction } from 'node:net'
import { Agent, errors, request } from 'undici'
import { firstOf } from '@dslog/resolver/abort'
import { isSpecialAddress } from '@dslog/service/specialaddress'
import { reasonOf } from './channel.ts'

/** Longest wait for a whole answer, ms. */
const TIMEOUT_MS = 10_000

/** Most bytes of an answer: a challenge takes 60. */
const MAX_ANSWER_BYTES = 64 * 1024

/** Below these, ports are services of the system; of those only HTTPS is meant. */
const FIRST_USER_PORT = 1024
const HTTPS_PORT = 443

const MAX_URL_LENGTH = 2_048

/** Why a request was not made, or its answer not taken. */
export class EgressError extends Error {
  override readonly name = 'EgressError'
  /** It will be refused again, unless the DNS changes. */
  readonly isRefused: boolean

  constructor(message: string, isRefused: boolean, cause?: unknown) {
    super(message, { cause })
    this.isRefused = isRefused
  }
}

/** An answer, whatever its status. */
export interface Answer {
  readonly status: number
  readonly body: string
}

/** Edges that tests replace. */
export interface EgressEdges {
  readonly lookup?: LookupFunction
  readonly isSpecial?: (address: string) => boolean
  /** Certificates to trust beside the system's. */
  readonly ca?: string
}

/**
 * What is wrong with a URL that a stranger gave, before anything is resolved.
 *
 * @returns undefined if nothing is
 */
export function faultOfUrl(
  text: string,
  isSpecial: (address: string) => boolean = isSpecialAddress,
): string | undefined {
  if (text.length > MAX_URL_LENGTH || !URL.canParse(text)) return 'not a URL'
  const url = new URL(text)
  if (url.protocol !== 'https:') return 'must begin with https://'
  if (url.username !== '' || url.password !== '') return 'must not hold a user or a password'
  if (url.hash !== '') return 'must not have a fragment'
  const port = url.port === '' ? HTTPS_PORT : Number(url.port)
  if (port !== HTTPS_PORT && port < FIRST_USER_PORT) return `must not go to port ${port}`
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1')
  if (isIP(host) !== 0) {
    return isSpecial(host) ? `${host} is not an address of the public internet` : undefined
  }
  // A name without a dot is one of the local network.
  return /[^.]\.[^.]/.test(host) ? undefined : 'must have a public host name'
}

/** Makes requests of strangers, and of the operator. */
export class Egress {
  readonly #guarded: Agent
  readonly #free: Agent
  readonly #isSpecial: (address: string) => boolean

  constructor(edges: EgressEdges = {}) {
    const { ca, isSpecial = isSpecialAddress, lookup = systemLookup } = edges
    this.#isSpecial = isSpecial
    // A connection that is kept would go on to where a name once led.
    const limits = {
      maxResponseSize: MAX_ANSWER_BYTES,
      headersTimeout: TIMEOUT_MS,
      bodyTimeout: TIMEOUT_MS,
      pipelining: 0,
      keepAliveTimeout: 1,
    }
    const tls = { timeout: TIMEOUT_MS, ...(ca !== undefined && { ca }) }
    this.#guarded = new Agent({
      ...limits,
      connect: { ...tls, lookup: guarded(lookup, isSpecial) },
    })
    this.#free = new Agent({ ...limits, connect: { ...tls, lookup } })
  }

  /**
   * Posts a body.
   *
   * @param trusted an operator has configured the URL
   * @throws EgressError
   */
  async post(
    url: string,
    message: { headers: Record<string, string>; body: string },
    { signal, trusted }: { signal: AbortSignal; trusted: boolean },
  ): Promise<Answer> {
    const fault = trusted ? undefined : faultOfUrl(url, this.#isSpecial)
    if (fault !== undefined) throw new EgressError(`the URL ${fault}`, true)
    const end = firstOf(signal, AbortSignal.timeout(TIMEOUT_MS))
    try {
      const { body, statusCode } = await request(url, {
        method: 'POST',
        ...message,
        dispatcher: trusted ? this.#free : this.#guarded,
        signal: end.signal,
      })
      return { status: statusCode, body: await body.text() }
    } catch (cause) {
      if (cause instanceof EgressError) throw cause
      if (cause instanceof errors.ResponseExceededMaxSizeError) {
        throw new EgressError(`the answer has more than ${MAX_ANSWER_BYTES} bytes`, false, cause)
      }
      throw new EgressError(reasonOf(cause), false, cause)
    } finally {
      end.release()
    }
  }

  async close(): Promise<void> {
    await Promise.all([this.#guarded.destroy(), this.#free.destroy()])
  }
}

/** A lookup that fails if any address of the name is not public, and else answers with those alone. */
function guarded(lookup: LookupFunction, isSpecial: (address: string) => boolean): LookupFunction {
  return (hostname, options, callback) => {
    lookup(hostname, { ...options, all: true }, (error, found) => {
      if (error !== null) return callback(error, [])
      const addresses =
        typeof found === 'string' ? [{ address: found, family: isIP(found) }] : found
      const special = addresses.find(({ address }) => isSpecial(address))
      if (special !== undefined || addresses.length === 0) {
        const what = special?.address ?? 'nothing'
        return callback(
          new EgressError(`${hostname} leads to ${what}, not to the public internet`, true),
          [],
        )
      }
      if (options.all === true) callback(null, addresses)
      else callback(null, addresses[0]!.address, addresses[0]!.family)
    })
  }
}
