/** Asks a step of a story over HTTP, and compares the answer. Paths go out as they are written, and bodies come as they are. */
import { request as httpRequest } from 'node:http'
import { gunzipSync } from 'node:zlib'
import { expressionOf, type Values } from './match.ts'
import type { Step } from './story.ts'

interface Answer {
  readonly status: number
  readonly reason: string
  readonly headers: ReadonlyMap<string, string>
  readonly body: Buffer
}

/** Longest wait for an answer, ms: longer than a submission waits. */
const PATIENCE_MS = 25_000

/** Asks, and says what is not as it must be. */
export async function ask(url: string, step: Step, values: Values): Promise<string[]> {
  let answer: Answer | undefined
  for (let i = 0; i < step.times; i++) answer = await send(url, step, values)
  return compare(answer!, step, values)
}

function send(url: string, step: Step, values: Values): Promise<Answer> {
  const { hostname, port } = new URL(url)
  const body = step.body === undefined ? undefined : values.fill(step.body)
  const headers: Record<string, string | number> = {}
  for (const { name, value } of step.headers) headers[name] = values.fill(value)
  if (body !== undefined) headers['content-length'] = Buffer.byteLength(body)
  const path = values.fill(step.path, encodeURIComponent)
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(PATIENCE_MS)
    const { method } = step
    const asked = httpRequest({ hostname, port, method, path, headers, agent: false, signal })
    asked.on('error', reject)
    asked.on('response', (response) => {
      const chunks: Buffer[] = []
      const end = (): void =>
        resolve({
          status: response.statusCode!,
          reason: response.statusMessage!,
          headers: new Map(
            Object.entries(response.headers).map(([name, value]) => [name, String(value)]),
          ),
          body: Buffer.concat(chunks),
        })
      response.on('data', (chunk: Buffer) => {
        chunks.push(chunk)
        if (isEnough(step, chunks)) {
          end()
          asked.destroy()
        }
      })
      response.on('end', end)
      response.on('error', reject)
    })
    asked.end(body)
  })
}

/** A stream has no end: it is left after so many events. */
function isEnough({ answer }: Step, chunks: readonly Buffer[]): boolean {
  const events = answer.body.map((line) => /^events (\d+)$/.exec(line)?.[1]).find(Boolean)
  if (events === undefined) return false
  return Buffer.concat(chunks).toString().split('\n\n').length > Number(events)
}

function compare({ body, headers, reason, status }: Answer, step: Step, values: Values): string[] {
  const faults: string[] = []
  const note = (what: string, fault: string | undefined): void => {
    if (fault !== undefined) faults.push(`${what}: ${fault}`)
  }
  const line = `${status} ${reason}`
  if (line !== `${step.status} ${step.reason}`) faults.push(`the status is ${line}`)
  for (const { name, value } of step.answer.headers) {
    const actual = headers.get(name)
    if (value === '-') {
      if (actual !== undefined) faults.push(`${name}: is there: ${actual}`)
    } else if (actual === undefined) faults.push(`${name}: is not there`)
    else note(name, values.match(value, actual))
  }
  const wanted = step.answer.body
  if (/^[[{]/.test(wanted[0] ?? '')) {
    note('body', values.matchJson(JSON.parse(wanted.join('\n')), jsonOf(body)))
  } else {
    for (const pattern of wanted) note(pattern, compareBody(pattern, body, values))
  }
  if (faults.length > 0) faults.push(`body: ${body.toString().slice(0, 500)}`)
  return faults
}

function jsonOf(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString())
  } catch {
    return undefined
  }
}

/** One line of what a body must be. */
function compareBody(pattern: string, body: Buffer, values: Values): string | undefined {
  const [, word, count] = /^(bytes|gunzipped|events) (\S+)$/.exec(pattern) ?? []
  switch (word) {
    case 'bytes':
      return values.match(count!, String(body.length))
    case 'gunzipped':
      return values.match(count!, String(gunzipSync(body).length))
    case 'events':
      return values.match(count!, String(body.toString().split('\n\n').length - 1))
    default: {
      const isAbsent = pattern.startsWith('!')
      const expected = isAbsent ? pattern.slice(1) : pattern
      if (expressionOf(expected) === undefined) throw new SyntaxError(`no pattern: ${pattern}`)
      const fault = values.match(expected, body.toString())
      return isAbsent ? (fault === undefined ? 'is there' : undefined) : fault
    }
  }
}
