/**
 * Contracts as text: a file tells one story, in steps that are asked one after the other.
 *
 *     # What the story is about.
 *     service new                         whom to ask: see world.ts
 *
 *     --- The newest checkpoint is never cached.
 *     GET /v1/checkpoint?x=${size}        `${…}` is a value of the world, or one found in an earlier step
 *     accept: application/json
 *
 *     a body, to the line of the answer
 *     HTTP/1.1 200 OK
 *     cache-control: no-store             exactly this
 *     etag: /^"(?<etag>.+)"$/             in slashes an expression; its named groups are found values
 *     set-cookie: -                       not there
 *
 *     {"size": "/^(?<size>\\d+)$/", …}    JSON, of which match.ts says what it matches; or lines:
 *     /^log\.example/                     the text has it
 *     !/secret/                           the text does not have it
 *     bytes 8192                          so many bytes, as they came
 *     gunzipped 8192                      so many, once unpacked
 *     events 2                            of a stream without an end, so many events are read
 *
 * `601 times GET /` asks so often, and looks at the last answer. `meanwhile GET /` goes on with the story, and looks at the
 * answer when that is over. Asking is ask.ts's business.
 */

/** A header of a request or, as a pattern, of an answer. */
export interface Field {
  readonly name: string
  readonly value: string
}

/** What is asked, and what must be answered. */
export interface Step {
  readonly title: string
  /** Of the file, where the request is. */
  readonly line: number
  readonly times: number
  readonly isMeanwhile: boolean
  readonly method: string
  readonly path: string
  readonly headers: readonly Field[]
  readonly body: string | undefined
  readonly status: number
  readonly reason: string
  readonly answer: { readonly headers: readonly Field[]; readonly body: readonly string[] }
}

export interface Story {
  readonly service: string
  readonly steps: readonly Step[]
}

const REQUEST = /^(?:(meanwhile)|(\d+) times)? ?([A-Z]+) (\S.*)$/
const STATUS = /^HTTP\/1\.1 (\d{3}) (.+)$/
const HEADER = /^([a-z0-9-]+): (.+)$/

/**
 * Reads a story.
 *
 * @throws SyntaxError with the line that is not understood
 */
export function parseStory(text: string): Story {
  const lines = text.replace(/\n$/, '').split('\n')
  const fail = (at: number, what: string): never => {
    throw new SyntaxError(`line ${at + 1}: ${what}: ${lines[at] ?? 'the end'}`)
  }
  const starts = lines.flatMap((line, at) => (line.startsWith('--- ') ? [at] : []))
  const head = lines.slice(0, starts[0]).filter((line) => line !== '' && !line.startsWith('#'))
  const service = /^service (\S+)$/.exec(head[0] ?? '')?.[1]
  if (service === undefined || head.length > 1) {
    throw new SyntaxError('no `service` before the steps')
  }
  if (starts.length === 0) throw new SyntaxError('no steps')

  const steps = starts.map((start, i): Step => {
    const end = starts[i + 1] ?? lines.length
    let at = start + 1
    /** Headers, up to an empty line or whatever ends them. */
    const fields = (isEnd: (line: string) => boolean): Field[] => {
      const read: Field[] = []
      for (; at < end && lines[at] !== '' && !isEnd(lines[at]!); at++) {
        const [, name, value] = HEADER.exec(lines[at]!) ?? fail(at, 'no header')
        read.push({ name: name!, value: value! })
      }
      return read
    }
    const [, meanwhile, times, method, path] = REQUEST.exec(lines[at]!) ?? fail(at, 'no request')
    at++
    const headers = fields((line) => STATUS.test(line))
    const from = at + 1
    while (at < end && !STATUS.test(lines[at]!)) at++
    if (at === end) fail(start, 'a step without an answer')
    const body = at > from ? lines.slice(from, at).join('\n').trim() : ''
    const [, status, reason] = STATUS.exec(lines[at]!)!
    at++
    const answerHeaders = fields(() => false)
    return {
      title: lines[start]!.slice(4),
      line: start + 2,
      times: Number(times ?? 1),
      isMeanwhile: meanwhile !== undefined,
      method: method!,
      path: path!,
      headers,
      body: body === '' ? undefined : body,
      status: Number(status),
      reason: reason!,
      answer: {
        headers: answerHeaders,
        body: lines.slice(at, end).filter((line) => line.trim() !== ''),
      },
    }
  })
  return { service, steps }
}
