/**
 * `dslog pins`: an owner key, statements signed with it, and their way to a monitor. The key never leaves
 * this machine; the statement is public, and worth nothing at another monitor or for another name.
 */
import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign as ed25519Sign,
} from 'node:crypto'
import { toBase64 } from '@dslog/tlog/bytes'
import { type Name, nameToText } from '@dslog/dnssec/name'
import { MonitorInfo, PinsBody, PinsTaken } from '@dslog/schema/monitorapi'
import { DAY } from '@dslog/schema/time'
import { AnswerError, readAnswer } from '@dslog/service/answer'
import { PRIVATE_FILE } from '@dslog/service/files'
import { readInput } from '@dslog/service/input'
import { VerifyError } from '@dslog/verify/error'
import { counted } from '@dslog/verify/counted'
import { encodePins, ownerText, type Pin, pinFromText, pinToText } from '@dslog/verify/pins'
import { EXIT, Failure } from '../failure.ts'
import { httpUrl } from '../argument.ts'
import { readName } from '../name.ts'
import { writeNewFile } from '../newfile.ts'
import type { Session } from '../session.ts'

export interface PinsOptions {
  readonly key?: string
  readonly monitor?: string
  readonly output?: string
  readonly seq?: number
  readonly until?: number
  readonly subscription?: string
}

/** How long a statement holds unless told, ms: a year and a month, so that a yearly routine renews it. */
const DEFAULT_SPAN_MS = 396 * DAY

/** Bytes of a key at the end of its DER. */
const KEY_BYTES = 32

/** Answers of a monitor are some lines. */
const MAX_ANSWER_BYTES = 65_536

export async function pins(
  session: Session,
  action: string,
  what: readonly string[],
  options: PinsOptions,
): Promise<void> {
  switch (action) {
    case 'keygen':
      return keygen(session, what, options)
    case 'sign':
      return sign(session, what, options)
    case 'publish':
      return publish(session, what, options)
    default:
      throw new Failure(EXIT.usage, `dslog pins keygen, sign or publish, not ${action}`)
  }
}

async function keygen(
  session: Session,
  what: readonly string[],
  { output: path }: PinsOptions,
): Promise<void> {
  if (what.length > 0) throw new Failure(EXIT.usage, 'dslog pins keygen -o FILE, and nothing else')
  if (path === undefined) throw new Failure(EXIT.usage, 'where does the owner key go? Give -o FILE')
  const { privateKey } = generateKeyPairSync('ed25519')
  await writeNewFile(
    path,
    privateKey.export({ format: 'pem', type: 'pkcs8' }).toString(),
    PRIVATE_FILE,
  )
  const ownerKey = publicKeyOf(privateKey)
  const txt = ownerText(ownerKey)
  const { output } = session
  output.event({ event: 'owner-key', file: path, owner_key: toBase64(ownerKey), txt })
  output.line(`owner key: ${path} (whoever reads it can sign your pins; keep a copy offline)`)
  output.line(`to show your pins in public, publish at _dslog.<your domain>, signed: TXT "${txt}"`)
}

async function sign(
  session: Session,
  what: readonly string[],
  options: PinsOptions,
): Promise<void> {
  const [text, ...texts] = what
  if (text === undefined) {
    throw new Failure(EXIT.usage, 'dslog pins sign NAME PIN…: a pin is "DS …" or "DNSKEY …"')
  }
  const { key: path, output: out } = options
  if (path === undefined) throw new Failure(EXIT.usage, 'which owner key? Give --key FILE')
  const key = await ownerKeyIn(path)
  const ownerKey = publicKeyOf(key)
  const name = readName(text)
  const list = texts.map(readPin)
  const now = Date.now()
  const seq = options.seq ?? Math.floor(now / 1000)
  const notAfter = options.until ?? now + DEFAULT_SPAN_MS
  if (notAfter <= now) throw new Failure(EXIT.usage, 'the statement would have ended already')
  const origin = await originOf(session, options)
  const bytes = encodePins({ origin, name, seq, notAfter, pins: list })
  const statement = {
    owner_key: toBase64(ownerKey),
    seq,
    not_after: notAfter,
    pins: list.map(pinToText),
    signature: toBase64(Uint8Array.from(ed25519Sign(null, bytes, key))),
  }
  const { output } = session
  if (out === undefined) return output.raw(`${JSON.stringify(statement, null, 2)}\n`)
  await writeNewFile(out, `${JSON.stringify(statement, null, 2)}\n`, 0o644)
  output.event({
    event: 'statement',
    file: out,
    name: nameToText(name),
    origin,
    seq,
    not_after: notAfter,
  })
  output.line(describe(name, list, origin, notAfter, out))
}

function describe(
  name: Name,
  list: readonly Pin[],
  origin: string,
  notAfter: number,
  out: string,
): string {
  const what = list.length === 0 ? 'takes all pins back' : `allows ${counted(list.length, 'key')}`
  return `${out}: ${what} for ${nameToText(name)} at ${origin}, until ${new Date(notAfter).toISOString().slice(0, 10)}`
}

async function publish(
  session: Session,
  what: readonly string[],
  options: PinsOptions,
): Promise<void> {
  const [file, ...more] = what
  if (file === undefined || more.length > 0) {
    throw new Failure(EXIT.usage, 'dslog pins publish FILE')
  }
  const { subscription } = options
  if (subscription === undefined) {
    throw new Failure(EXIT.usage, 'which subscription? Give --subscription ID')
  }
  const token = session.config.subscriptionToken?.reveal()
  if (token === undefined) {
    throw new Failure(
      EXIT.usage,
      'the token of the subscription is wanted in DSLOG_SUBSCRIPTION_TOKEN',
    )
  }
  const statement = await statementIn(file)
  const url = await monitorUrl(session, options)
  const { body } = await session
    .http()
    .request(`${url}/v1/subscriptions/${encodeURIComponent(subscription)}/pins`, {
      method: 'PUT',
      body: JSON.stringify(statement),
      headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
      maxBytes: MAX_ANSWER_BYTES,
    })
  const { effective_at: at } = readAnswer(url, PinsTaken, body)
  const { output } = session
  output.event({ event: 'published', subscription, effective_at: at })
  output.line(
    `taken: they count from ${new Date(at).toISOString()} on, or once another channel has confirmed them`,
  )
}

/** The monitor that was named, or the one that runs beside. @throws Failure `usage` */
async function monitorUrl(session: Session, { monitor }: PinsOptions): Promise<string> {
  if (monitor !== undefined) return httpUrl(monitor)
  const url = (await session.service())?.monitor
  if (url === undefined) throw new Failure(EXIT.usage, 'which monitor? Give --monitor URL')
  return url
}

/** What the monitor calls itself in statements. */
async function originOf(session: Session, options: PinsOptions): Promise<string> {
  const url = await monitorUrl(session, options)
  const { body } = await session.http().request(`${url}/v1/monitor`, { maxBytes: MAX_ANSWER_BYTES })
  return readAnswer(`${url}/v1/monitor`, MonitorInfo, body).origin
}

async function statementIn(file: string): Promise<PinsBody> {
  const bytes = await readInput(file)
  try {
    return readAnswer(file, PinsBody, bytes)
  } catch (cause) {
    if (!(cause instanceof AnswerError)) throw cause
    const text = `${file} holds no statement: make one with dslog pins sign`
    throw new Failure(EXIT.usage, text, { cause })
  }
}

async function ownerKeyIn(path: string): Promise<KeyObject> {
  try {
    const key = createPrivateKey((await readInput(path)).toString())
    if (key.asymmetricKeyType === 'ed25519') return key
  } catch (cause) {
    // What is wrong with the file itself has a word of its own.
    if ((cause as NodeJS.ErrnoException).syscall !== undefined) throw cause
  }
  throw new Failure(EXIT.usage, `${path} holds no Ed25519 key: make one with dslog pins keygen`)
}

function publicKeyOf(key: KeyObject): Uint8Array {
  const der = createPublicKey(key).export({ format: 'der', type: 'spki' })
  return Uint8Array.from(der.subarray(-KEY_BYTES))
}

function readPin(text: string): Pin {
  try {
    return pinFromText(text)
  } catch (cause) {
    if (!(cause instanceof VerifyError)) throw cause
    throw new Failure(EXIT.usage, `${text}: ${cause.message}`, { cause })
  }
}
