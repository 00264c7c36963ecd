/**
 * A question to whichever server of a zone answers it: some tries on different addresses, and one over TCP
 * where packets seem to get lost. Who answers wrongly is passed over in the same way as who does not.
 */
import { ResolverError, type ResolverErrorCode } from './error.ts'
import type { AskOptions, Exchange, Question, Reply, Server } from './exchange.ts'

/** Tries over UDP, on different addresses. */
export const UDP_TRIES = 3

/** After these a packet may have been lost, dropped or changed on the way: TCP may get through. */
export const TRY_TCP: ReadonlySet<ResolverErrorCode> = new Set(['timeout', 'mismatch', 'malformed'])
/** These say nothing about a server: no other one is tried. */
const ENDS: ReadonlySet<ResolverErrorCode> = new Set(['aborted', 'busy'])

/** How to ask some. */
export interface AskAnyOptions extends AskOptions {
  /** Throws a ResolverError for a reply that is of no use; then the next server is asked. */
  readonly accept?: (reply: Reply) => void | Promise<void>
  /** A server failed. */
  readonly onFailure?: (server: Server, error: ResolverError) => void
}

/**
 * The first reply that counts.
 *
 * @param servers in the order they are asked
 * @throws ResolverError why the last try failed; `unreachable` without servers
 */
export async function askAny(
  exchange: Exchange,
  servers: readonly Server[],
  question: Question,
  options: AskAnyOptions = {},
): Promise<Reply> {
  const { accept, onFailure, ...asking } = options
  const attempt = async (server: Server, how: AskOptions): Promise<Reply | ResolverError> => {
    try {
      const reply = await exchange.ask(server, question, how)
      await accept?.(reply)
      return reply
    } catch (error) {
      if (!(error instanceof ResolverError) || ENDS.has(error.code)) throw error
      onFailure?.(server, error)
      return error
    }
  }
  let last = new ResolverError('unreachable', 'no servers to ask')
  let lossy: Server | undefined
  for (const server of servers.slice(0, UDP_TRIES)) {
    const outcome = await attempt(server, asking)
    if (!(outcome instanceof ResolverError)) return outcome
    last = outcome
    if (TRY_TCP.has(outcome.code)) lossy ??= server
  }
  if (lossy === undefined || asking.transport === 'tcp') throw last
  const outcome = await attempt(lossy, { ...asking, transport: 'tcp' })
  if (outcome instanceof ResolverError) throw outcome
  return outcome
}
