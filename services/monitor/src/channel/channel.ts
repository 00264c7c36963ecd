/**
 * What all channels have in common: what they are given to send, and what becomes of it. A channel tries
 * once and says how it went; order, retries and limits are the outbox's business.
 */
import type { Alert, AlertEvent } from '@dslog/schema/alert'
import type { ChannelKind, ChannelRow } from '@dslog/schema/alertdb'

/** What is said in one message. */
export type Content =
  | { readonly type: AlertEvent; readonly alert: Alert }
  /** Asks whether the channel wants to be one. The token confirms it. */
  | {
      readonly type: 'confirm'
      readonly name: string
      readonly token: string
      readonly until: number
    }
  /** Asks a second channel about new pins. The token makes them count at once. */
  | {
      readonly type: 'confirm-pins'
      readonly name: string
      readonly token: string
      readonly pins: readonly string[]
      readonly effective_at: number
    }
  /** What was not worth a mail of its own, or too much. */
  | {
      readonly type: 'digest'
      readonly name: string
      readonly alerts: readonly Alert[]
      readonly more: number
      readonly folded: number
    }
  /** The subscription has ended: the last thing a channel hears. */
  | { readonly type: 'ended'; readonly name: string }

/** A message on its way. */
export interface Message {
  /** The same at each attempt. */
  readonly id: string
  /** When it was put into the outbox, ms. */
  readonly at: number
  readonly channel: ChannelRow
  readonly content: Content
}

/** What became of an attempt. */
export type Outcome =
  | { readonly status: 'sent' }
  /** Sent, and the receiver has confirmed the channel with it. */
  | { readonly status: 'confirmed' }
  /** Not now. */
  | { readonly status: 'retry'; readonly reason: string }
  /** Not this message, ever. */
  | { readonly status: 'refused'; readonly reason: string }
  /** Nothing any more over this channel. */
  | { readonly status: 'gone'; readonly reason: string }

/** A way to reach owners. */
export interface Channel {
  /** One attempt. Throws nothing but bugs. */
  send(message: Message, signal: AbortSignal): Promise<Outcome>
}

export type Channels = Readonly<Partial<Record<ChannelKind, Channel>>>

export const SENT: Outcome = { status: 'sent' }

/** Longest reason that is stored and shown: what an attacker's server says is in it. */
const REASON_LENGTH = 200

/** A reason out of an error or a peer's words: one line of printable text. */
export function reasonOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error)
  return text.replaceAll(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, ' ').slice(0, REASON_LENGTH)
}
