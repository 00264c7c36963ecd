/** Addresses of the monitor's own pages, as they stand in messages. None of them acts when it is fetched. */
import type { LinkTokens } from './token.ts'

/** A link with the token of what it may do. */
export class Links {
  readonly #base: string
  readonly #tokens: LinkTokens

  /** @param base public URL of the monitor, without a slash at the end */
  constructor(base: string, tokens: LinkTokens) {
    this.#base = base
    this.#tokens = tokens
  }

  get base(): string {
    return this.#base
  }

  confirm(channel: string, token: string): string {
    return this.#url(`/confirm/${channel}`, token)
  }

  confirmPins(subscription: string, token: string): string {
    return this.#url(`/confirm-pins/${subscription}`, token)
  }

  acknowledge(alert: string): string {
    return this.#url(`/ack/${alert}`, this.#tokens.make('acknowledge', alert))
  }

  unsubscribe(channel: string): string {
    return this.#url(`/unsubscribe/${channel}`, this.#tokens.make('unsubscribe', channel))
  }

  manage(subscription: string): string {
    return `${this.#base}/manage/${subscription}`
  }

  #url(path: string, token: string): string {
    return `${this.#base}${path}?token=${token}`
  }
}
