/**
 * A mail server that keeps what it is sent, for tests and the demo. It can be down, too busy, or refuse a
 * recipient, and comes back on the same port.
 */
import type { AddressInfo } from 'node:net'
import { SMTPServer } from 'smtp-server'

/** How the server behaves: takes mail, has no time (451), or knows nobody (550). */
export type SmtpMode = 'accept' | 'busy' | 'refuse'

/** A mail as it came. */
export interface SunkMail {
  /** When it came, ms since the Unix epoch. */
  readonly at: number
  readonly from: string
  readonly to: readonly string[]
  readonly raw: string
  /** Header fields, unfolded, by lower-case name; of several with one name the last. */
  readonly headers: ReadonlyMap<string, string>
  /** Decoded parts that are not multiparts, in order. */
  readonly parts: readonly MailPart[]
}

export interface MailPart {
  /** `text/plain`, … */
  readonly type: string
  readonly filename: string | undefined
  readonly content: string
}

export class SmtpSink {
  mode: SmtpMode = 'accept'
  readonly mails: SunkMail[] = []
  /** Mails that were begun, whatever became of them. */
  attempts = 0
  #server: SMTPServer | undefined
  #port: number

  private constructor(port: number) {
    this.#port = port
  }

  /** @param port 0 for a free one */
  static async start(port = 0): Promise<SmtpSink> {
    const sink = new SmtpSink(port)
    await sink.up()
    return sink
  }

  get url(): string {
    return `smtp://127.0.0.1:${this.#port}`
  }

  /** Listens, again on the port that it had. */
  async up(): Promise<void> {
    if (this.#server !== undefined) return
    const server = new SMTPServer({
      authOptional: true,
      disabledCommands: ['STARTTLS', 'AUTH'],
      disableReverseLookup: true,
      logger: false,
      onRcptTo: (_address, _session, done) => {
        this.attempts++
        if (this.mode === 'accept') done()
        else done(refusal(this.mode))
      },
      onData: (stream, { envelope }, done) => {
        const chunks: Buffer[] = []
        stream.on('data', (chunk: Buffer) => chunks.push(chunk))
        stream.on('end', () => {
          const raw = Buffer.concat(chunks).toString('latin1')
          const from = envelope.mailFrom === false ? '' : envelope.mailFrom.address
          const to = envelope.rcptTo.map(({ address }) => address)
          this.mails.push({ at: Date.now(), from, to, raw, ...parseMail(raw) })
          done()
        })
      },
    })
    server.on('error', () => {})
    await new Promise<void>((resolve) => server.listen(this.#port, '127.0.0.1', resolve))
    this.#port = (server.server.address() as AddressInfo).port
    this.#server = server
  }

  /** Refuses connections, and ends those it has. */
  async down(): Promise<void> {
    const server = this.#server
    this.#server = undefined
    if (server === undefined) return
    for (const connection of server.connections) connection.close()
    await new Promise<void>((resolve) => server.close(resolve))
  }
}

function refusal(mode: SmtpMode): Error {
  const error = new Error(mode === 'busy' ? 'try again later' : 'no such user here')
  return Object.assign(error, { responseCode: mode === 'busy' ? 451 : 550 })
}

/** As much of MIME (RFC 2045, 2046) as it takes to read our own mails. */
function parseMail(raw: string): Pick<SunkMail, 'headers' | 'parts'> {
  const { body, headers } = split(raw)
  return { headers, parts: [...partsOf(headers, body)] }
}

function split(raw: string): { headers: Map<string, string>; body: string } {
  const end = raw.indexOf('\r\n\r\n')
  const headers = new Map<string, string>()
  for (const line of raw
    .slice(0, end)
    .replaceAll(/\r\n[ \t]+/g, ' ')
    .split('\r\n')) {
    const colon = line.indexOf(':')
    headers.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim())
  }
  return { headers, body: raw.slice(end + 4) }
}

function* partsOf(headers: ReadonlyMap<string, string>, body: string): Generator<MailPart> {
  const type = headers.get('content-type') ?? 'text/plain'
  const boundary = /boundary="?([^";]+)"?/.exec(type)?.[1]
  if (type.startsWith('multipart/') && boundary !== undefined) {
    for (const part of body.split(`--${boundary}`).slice(1, -1)) {
      const inner = split(part.replace(/^\r\n/, ''))
      yield* partsOf(inner.headers, inner.body.replace(/\r\n$/, ''))
    }
    return
  }
  const disposition = headers.get('content-disposition') ?? ''
  yield {
    type: type.replace(/;.*$/s, ''),
    filename: /filename="?([^";]+)"?/.exec(disposition)?.[1],
    content: decode(body, headers.get('content-transfer-encoding') ?? '7bit'),
  }
}

function decode(body: string, encoding: string): string {
  if (encoding === 'base64') return Buffer.from(body, 'base64').toString('utf8')
  if (encoding !== 'quoted-printable') return Buffer.from(body, 'latin1').toString('utf8')
  const bytes = body
    .replaceAll('=\r\n', '')
    .replaceAll(/=([0-9A-F]{2})/g, (_, hex: string) =>
      String.fromCharCode(Number.parseInt(hex, 16)),
    )
  return Buffer.from(bytes, 'latin1').toString('utf8')
}
