/**
 * E-mail over one SMTP server, which signs with DKIM and gets the mail to its place. Text comes first,
 * then HTML; unsubscribing is one click (RFC 8058); the proof of the entry is attached where the log
 * gives one that verifies. The Message-ID is made of the message's own id: programs that drop what they
 * have had drop a mail that is sent again.
 */
import { createTransport } from 'nodemailer'
import { isAtOrBelow, type Name, nameFromText, ROOT } from '@dslog/dnssec/name'
import { wellFormed } from '@dslog/dnssec/error'
import type { Links } from '../links.ts'
import {
  type Channel,
  type Content,
  type Message,
  type Outcome,
  reasonOf,
  SENT,
} from './channel.ts'
import { type MailContext, writeMail } from './mailtext.ts'

/** Waits for the server, ms: together within what a delivery may take. */
const CONNECT_TIMEOUT_MS = 10_000
const SOCKET_TIMEOUT_MS = 30_000

/** Connections to the server. */
const CONNECTIONS = 3

/** The longest address there is (RFC 5321 section 4.5.3.1.3, without the brackets). */
const MAX_ADDRESS_LENGTH = 254

/**
 * An address as people have one: no quotes, comments, lists, routes or literals, so that it reads the
 * same to every server.
 */
const ADDRESS =
  /^[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*@((?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.)+[A-Za-z0-9-]{2,})$/

const MAX_LOCAL_LENGTH = 64

/** The domain of a mail address, or undefined for what is no such thing. */
export function domainOfAddress(address: string): Name | undefined {
  if (address.length > MAX_ADDRESS_LENGTH || address.indexOf('@') > MAX_LOCAL_LENGTH) {
    return undefined
  }
  const domain = ADDRESS.exec(address)?.[1]
  return domain === undefined ? undefined : wellFormed(() => nameFromText(domain))
}

/** Whether a mailbox lies under a name: who takes over the name reads its mail. Under the root, all do. */
export function isMailboxUnder(address: string, name: Name): boolean {
  const domain = domainOfAddress(address)
  return domain !== undefined && name.length > ROOT.length && isAtOrBelow(domain, name)
}

/** Gives the proof file of an entry, verified; undefined where there is none now. */
export type ProofSource = (origin: string, index: number) => Promise<Uint8Array | undefined>

export interface EmailOptions {
  /** smtp:// or smtps:// URL. */
  readonly server: string
  /** From. */
  readonly from: string
  readonly links: Links
  readonly proofs: ProofSource
}

export class EmailChannel implements Channel {
  readonly #options: EmailOptions
  readonly #transport: ReturnType<typeof transportOf>
  /** Host of message ids. */
  readonly #host: string

  constructor(options: EmailOptions) {
    this.#options = options
    this.#transport = transportOf(options.server)
    this.#host = new URL(options.links.base).hostname
  }

  async send(message: Message, _signal: AbortSignal): Promise<Outcome> {
    const { channel, content, id } = message
    const { from, links } = this.#options
    const proof = await this.#proofOf(content)
    const context: MailContext = {
      base: links.base,
      manage: links.manage(channel.subscription),
      unsubscribe: links.unsubscribe(channel.id),
      act: actOf(content, message, links),
      isUnder: isMailboxUnder(
        channel.target,
        nameFromText('alert' in content ? content.alert.watched : content.name),
      ),
      proof: proof?.filename,
    }
    const thread =
      'alert' in content && content.type !== 'raised'
        ? `<${this.#idOf(`${content.alert.id}_1`, message)}>`
        : undefined
    try {
      await this.#transport.sendMail({
        from,
        // As an object: no header syntax in it is read.
        to: { name: '', address: channel.target },
        messageId: `<${this.#idOf(id, message)}>`,
        ...(thread !== undefined && { inReplyTo: thread, references: [thread] }),
        ...writeMail(content, context),
        headers: {
          'Auto-Submitted': 'auto-generated',
          'X-Dslog-Message': id,
          ...('alert' in content && {
            'X-Dslog-Level': content.alert.level,
            'X-Dslog-Rule': content.alert.rule,
          }),
          'List-Unsubscribe': `<${context.unsubscribe}>`,
          'List-Unsubscribe-Post': 'List-Unsubscribe=One-Click',
        },
        attachments: proof === undefined ? [] : [proof],
        disableFileAccess: true,
        disableUrlAccess: true,
      })
      return SENT
    } catch (error) {
      return outcomeOf(error)
    }
  }

  close(): void {
    this.#transport.close()
  }

  #idOf(id: string, { channel }: Message): string {
    return `${id}.${channel.id}@${this.#host}`
  }

  async #proofOf(content: Content) {
    if (!('alert' in content) || content.type === 'resolved') return undefined
    const { index, log } = content.alert
    if (index === null || log === null) return undefined
    const file = await this.#options.proofs(log, index)
    if (file === undefined) return undefined
    return {
      filename: `entry-${index}.tlog-proof`,
      content: Buffer.from(file),
      contentType: 'text/plain',
    }
  }
}

function transportOf(server: string) {
  return createTransport({
    url: server,
    pool: true,
    maxConnections: CONNECTIONS,
    connectionTimeout: CONNECT_TIMEOUT_MS,
    greetingTimeout: CONNECT_TIMEOUT_MS,
    socketTimeout: SOCKET_TIMEOUT_MS,
    disableFileAccess: true,
    disableUrlAccess: true,
  })
}

function actOf(content: Content, { channel }: Message, links: Links): string | undefined {
  switch (content.type) {
    case 'raised':
    case 'risen':
      return links.acknowledge(content.alert.id)
    case 'confirm':
      return links.confirm(channel.id, content.token)
    case 'confirm-pins':
      return links.confirmPins(channel.subscription, content.token)
    default:
      return undefined
  }
}

/** A server that refuses the recipient for good does so whenever it is asked; all else may pass. */
function outcomeOf(error: unknown): Outcome {
  const { code, responseCode } = error as { code?: string; responseCode?: number }
  const isRefused = code === 'EENVELOPE' && responseCode !== undefined && responseCode >= 500
  return { status: isRefused ? 'refused' : 'retry', reason: reasonOf(error) }
}
