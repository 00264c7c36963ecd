/**
 * The log's stream of changes (https://html.spec.whatwg.org/multipage/server-sent-events.html), as far as
 * it says when to look at what: names, and where to go on. Nothing in it is trusted.
 */
import { parseDecimal } from '@dslog/tlog/bytes'
import { DnssecError } from '@dslog/dnssec/error'
import { type Name, nameFromText } from '@dslog/dnssec/name'
import { EXIT, Failure } from './failure.ts'

/** Longest event, characters: an entry has 64 kB, in base64, and again decoded. */
const MAX_EVENT_LENGTH = 1_000_000

/** A change that the log tells of. */
export interface Told {
  /** `undefined` for an event without a name that is one. */
  readonly name: Name | undefined
  /** Cursor behind it. */
  readonly next: number
}

/**
 * Changes from a cursor on, until the signal ends.
 *
 * @throws Failure `service` if the log does not stream, or ends the stream
 */
export async function* changedNames(
  log: string,
  after: number,
  signal: AbortSignal,
): AsyncGenerator<Told, void, undefined> {
  try {
    const answer = await fetch(`${log}/v1/changes?after=${after}`, {
      headers: { accept: 'text/event-stream' },
      signal,
    })
    const type = answer.headers.get('content-type') ?? 'nothing'
    if (!answer.ok || answer.body === null || !type.startsWith('text/event-stream')) {
      // Not read: whoever sends it may never end.
      answer.body?.cancel().catch(() => undefined)
      const what = answer.ok ? `with ${type}` : String(answer.status)
      throw new Failure(EXIT.service, `${log} answers ${what} to who asks for changes`)
    }
    yield* eventsIn(answer.body)
    throw new Failure(EXIT.service, `${log} has ended its stream of changes`)
  } catch (cause) {
    if (signal.aborted) return
    if (cause instanceof Failure) throw cause
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new Failure(EXIT.service, `the stream of ${log} has ended: ${reason}`, { cause })
  }
}

/** Events of a stream. @throws Failure `service` for one that has no end */
export async function* eventsIn(
  body: AsyncIterable<Uint8Array>,
): AsyncGenerator<Told, void, undefined> {
  const decoder = new TextDecoder()
  let text = ''
  for await (const chunk of body) {
    text += decoder.decode(chunk, { stream: true }).replaceAll('\r', '')
    for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
      const told = readEvent(text.slice(0, end))
      text = text.slice(end + 2)
      if (told !== undefined) yield told
    }
    if (text.length > MAX_EVENT_LENGTH) {
      throw new Failure(EXIT.service, 'an event of the log has no end')
    }
  }
}

function readEvent(event: string): Told | undefined {
  const field = (name: string): string =>
    event
      .split('\n')
      .filter((line) => line.startsWith(`${name}:`))
      .map((line) => line.slice(name.length + 1).replace(/^ /, ''))
      .join('\n')
  const next = parseDecimal(field('id'))
  if (next === undefined || field('event') !== 'change') return undefined
  return { next, name: nameIn(field('data')) }
}

function nameIn(data: string): Name | undefined {
  try {
    const { name } = JSON.parse(data) as { name?: unknown }
    return typeof name === 'string' ? nameFromText(name) : undefined
  } catch (error) {
    if (
      error instanceof SyntaxError ||
      error instanceof DnssecError ||
      error instanceof TypeError
    ) {
      return undefined
    }
    throw error
  }
}
