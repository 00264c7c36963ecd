/**
 * ntfy (https://docs.ntfy.sh/publish/): a POST of text to a topic. Whoever knows the topic can read it,
 * so it is by operator's configuration only: no token of an owner goes there.
 */
import type { AlertLevel } from '@dslog/schema/alert'
import { type Channel, type Message, type Outcome, SENT } from './channel.ts'
import { type Egress, EgressError } from './egress.ts'

const PRIORITY: Readonly<Record<AlertLevel, string>> = {
  INFO: '2',
  NOTICE: '3',
  WARNING: '3',
  HIGH: '4',
  CRITICAL: '5',
}

export class NtfyChannel implements Channel {
  readonly #egress: Egress

  constructor(egress: Egress) {
    this.#egress = egress
  }

  async send({ channel, content }: Message, signal: AbortSignal): Promise<Outcome> {
    if (!('alert' in content)) return SENT
    const { level, resolution, title, why } = content.alert
    const headers = {
      'content-type': 'text/plain; charset=utf-8',
      title: `${level}: ${title}`,
      priority: content.type === 'resolved' ? '2' : PRIORITY[level],
    }
    const body = content.type === 'resolved' ? (resolution ?? 'Resolved.') : why
    try {
      const { status } = await this.#egress.post(
        channel.target,
        { headers, body },
        { signal, trusted: true },
      )
      if (status >= 200 && status <= 299) return SENT
      return { status: 'retry', reason: `the server answered ${status}` }
    } catch (error) {
      if (!(error instanceof EgressError)) throw error
      return { status: 'retry', reason: error.message }
    }
  }
}
