/**
 * What is asked of logs and monitors and shown as they tell it, unverified. Answers are read for what
 * is used of them, and refused if that is not there.
 */
import { nameFromText } from '@dslog/dnssec/name'
import type { EntryView } from '@dslog/schema/api'
import { pathOf } from '@dslog/schema/path'

/** Largest answer that is read, bytes: a page of 256 changes is far below. */
const MAX_BYTES = 16_000_000

/** Most of a reason that is shown, as somebody else's server gives it. */
const MAX_REASON = 300

/** Longest wait for an answer, ms. */
const TIMEOUT_MS = 20_000

/** A request failed; the message is in plain words. */
export class AskError extends Error {
  override readonly name = 'AskError'
  /** 0: no answer. */
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

/** Asks for JSON. Throws AskError. */
export async function ask(url: string, init: RequestInit = {}): Promise<unknown> {
  let response: Response
  let text: string | undefined
  try {
    response = await fetch(url, {
      credentials: 'omit',
      signal: AbortSignal.timeout(TIMEOUT_MS),
      ...init,
    })
    text = await textOf(response)
  } catch {
    throw new AskError(0, `${new URL(url).host} does not answer.`)
  }
  let value: unknown
  try {
    value = text === undefined ? undefined : JSON.parse(text === '' ? 'null' : text)
  } catch {
    value = undefined
  }
  if (response.ok && value !== undefined) return value
  const { detail, title } = recordOf(value)
  const said = [detail, title].find((word) => typeof word === 'string')
  const words = response.ok
    ? 'something else than asked for'
    : (said?.slice(0, MAX_REASON) ?? `status ${response.status}`)
  throw new AskError(response.status, `${new URL(url).host} answered: ${words}.`)
}

/** The body of an answer; undefined for one that is too large. */
async function textOf({ body }: Response): Promise<string | undefined> {
  if (body === null) return ''
  const decoder = new TextDecoder()
  const reader = body.getReader()
  let text = ''
  for (let left = MAX_BYTES; left > 0;) {
    const { done, value } = await reader.read()
    if (done) return text + decoder.decode()
    left -= value.length
    text += decoder.decode(value, { stream: true })
  }
  // Whoever sends without an end is not listened to any more, nor waited for.
  reader.cancel().catch(() => {})
  return undefined
}

/** The members of a JSON object; none of anything else. */
export function recordOf(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
}

/** What a log says it is. */
export interface LogInfo {
  readonly origin: string
  readonly vkeys: readonly string[]
  readonly policy: string
  readonly anchors?: string
  readonly monitor?: string
  readonly software?: string
}

/** `GET /v1/log` */
export async function askInfo(log: string): Promise<LogInfo> {
  const { anchors, monitor, origin, policy, software, vkeys } = recordOf(await ask(`${log}/v1/log`))
  const isList = Array.isArray(vkeys) && vkeys.every((vkey) => typeof vkey === 'string')
  if (typeof origin !== 'string' || typeof policy !== 'string' || !isList) {
    throw new AskError(200, 'There is no dslog at this address.')
  }
  return {
    origin,
    policy,
    vkeys,
    ...(typeof anchors === 'string' ? { anchors } : {}),
    ...(typeof monitor === 'string' && isWebUrl(monitor)
      ? { monitor: monitor.replace(/\/+$/, '') }
      : {}),
    ...(typeof software === 'string' ? { software } : {}),
  }
}

/** Whether a text is a URL that can be asked, and not one that runs something. */
export function isWebUrl(text: string): boolean {
  return URL.canParse(text) && /^https?:$/.test(new URL(text).protocol)
}

/** A change as a log tells it. */
export type ChangeView = Extract<EntryView, { type: 'ds' | 'no-ds' }>

/** Changes, newest last, as far as they can be shown. */
export function changesIn(value: unknown): ChangeView[] {
  return Array.isArray(value) ? value.filter(isChange) : []
}

export function isChange(value: unknown): value is ChangeView {
  const { ds, index, name, time, type, zone } = recordOf(value)
  const isHead = typeof index === 'number' && typeof time === 'number'
  const isNamed = typeof name === 'string' && typeof zone === 'string'
  const isSet = Array.isArray(ds) && ds.every((each) => typeof each === 'string')
  return isHead && isNamed && (type === 'no-ds' || (type === 'ds' && isSet))
}

/** What a monitor has verified of a log. */
export interface MonitorView {
  readonly origin: string
  readonly size: number
  readonly root: string
  readonly state: string
  readonly lastSuccess: number | null
  readonly misbehaviour: number
}

/** `GET /v1/status` of a monitor: its view of one log, if it follows it. */
export async function askMonitor(
  monitor: string,
  origin: string,
): Promise<MonitorView | undefined> {
  const { logs } = recordOf(await ask(`${monitor}/v1/status`))
  for (const log of Array.isArray(logs) ? logs : []) {
    const { last_success: lastSuccess, misbehaviour, root, size, state, ...rest } = recordOf(log)
    if (rest['origin'] !== origin) continue
    if (typeof size !== 'number' || typeof root !== 'string' || typeof state !== 'string') continue
    return {
      origin,
      size,
      root,
      state,
      lastSuccess: typeof lastSuccess === 'number' ? lastSuccess : null,
      misbehaviour: typeof misbehaviour === 'number' ? misbehaviour : 0,
    }
  }
  return undefined
}

/** What a monitor has seen of a name in one log. */
export interface MonitorNameView {
  /** Entries of the log that it has verified. */
  readonly size: number
  /** Of those, the entries of the name. */
  readonly indices: readonly number[]
  /** Which keys the owner allows, as the monitor says, in each statement that is public. */
  readonly pins: readonly PinsView[]
}

/** Pins of a name: `DS …` or `DNSKEY …` in presentation form. */
export interface PinsView {
  readonly pins: readonly string[]
  /** When they end, ms. */
  readonly notAfter: number
}

/** `GET /v1/names/:name` of a monitor: what it has seen in one log, if it follows it. */
export async function askMonitorOfName(
  monitor: string,
  name: string,
  origin: string,
): Promise<MonitorNameView | undefined> {
  const answer = recordOf(await ask(`${monitor}/v1/names/${pathOf(nameFromText(name))}`))
  const recordsIn = (value: unknown) => (Array.isArray(value) ? value.map(recordOf) : [])
  const size = recordsIn(answer['logs']).find((log) => log['origin'] === origin)?.['size']
  if (typeof size !== 'number' || !Array.isArray(answer['entries'])) return undefined
  const indices = recordsIn(answer['entries'])
    .filter(({ log }) => log === origin)
    .map(({ index }) => index)
    .filter((index) => typeof index === 'number')
  return { size, indices, pins: recordsIn(answer['pins']).flatMap(pinsOf) }
}

function pinsOf({ not_after: notAfter, pins }: Record<string, unknown>): PinsView[] {
  if (typeof notAfter !== 'number' || !Array.isArray(pins)) return []
  return [{ notAfter, pins: pins.filter((pin) => typeof pin === 'string') }]
}
