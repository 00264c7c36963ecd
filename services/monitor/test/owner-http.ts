/** The monitor's HTTP server for owners over an outbox that delivers when it is told, and an owner's client. */
import { randomBytes } from 'node:crypto'
import { toBase64 } from '@dslog/tlog/bytes'
import { nameFromText } from '@dslog/dnssec/name'
import type { MonitorTables } from '@dslog/schema/db'
import { ed25519Signer } from '@dslog/service/crypto'
import type { Database } from '@dslog/service/db'
import type { Http } from '@dslog/service/http'
import { encodePins, pinFromText } from '@dslog/verify/pins'
import { quietHttp } from '../../../test/http.ts'
import type { EgressEdges } from '../src/channel/egress.ts'
import { alertRoutes } from '../src/route/alerts.ts'
import { pageRoutes } from '../src/route/pages.ts'
import { statementRoutes } from '../src/route/statements.ts'
import { subscriptionRoutes } from '../src/route/subscriptions.ts'
import { publicTarget } from '../src/target.ts'
import { LinkTokens } from '../src/token.ts'
import { ORIGIN, Post } from './post.ts'

/** What a request came to. */
export interface Reply {
  readonly status: number
  readonly text: string
  readonly json: Record<string, unknown>
  readonly headers: Record<string, unknown>
}

export interface AskOptions {
  readonly token?: string
  readonly body?: unknown
  readonly form?: Record<string, string>
  readonly headers?: Record<string, string>
  readonly ip?: string
}

/** A monitor as owners meet it. */
export class OwnerHttp {
  readonly post: Post
  readonly app: Http

  private constructor(post: Post, app: Http) {
    this.post = post
    this.app = app
  }

  static async open(db: Database<MonitorTables>, edges: EgressEdges = {}): Promise<OwnerHttp> {
    const post = await Post.open(db, { edges, trusted: false })
    const app = await quietHttp({ rateLimit: { max: 10_000, window: 1_000 } })
    const context = {
      db,
      subscriptions: post.subscriptions,
      pins: post.pins,
      windows: post.windows,
      tokens: new LinkTokens(new Uint8Array(32).fill(1)),
      links: post.links,
      info: {
        origin: ORIGIN,
        url: `https://${ORIGIN}`,
        channels: ['email', 'webhook'],
        software: 'test',
      },
      targetOf: (text: string) => publicTarget(text, edges.isSpecial),
      poke: () => {},
      clock: post.clock.now,
    }
    subscriptionRoutes(app, context)
    statementRoutes(app, context)
    alertRoutes(app, context)
    pageRoutes(app, context)
    return new OwnerHttp(post, app)
  }

  async ask(method: string, url: string, options: AskOptions = {}): Promise<Reply> {
    const { body, form, headers = {}, ip = '198.51.100.1', token } = options
    const answer = await this.app.inject({
      method: method as 'GET',
      url,
      remoteAddress: ip,
      headers: {
        ...(form !== undefined && { 'content-type': 'application/x-www-form-urlencoded' }),
        ...(token !== undefined && { authorization: `Bearer ${token}` }),
        ...headers,
      },
      ...(body !== undefined && { payload: body as object }),
      ...(form !== undefined && { payload: new URLSearchParams(form).toString() }),
    })
    const isJson = answer.body !== '' && String(answer.headers['content-type']).includes('json')
    return {
      status: answer.statusCode,
      text: answer.body,
      json: isJson ? (JSON.parse(answer.body) as Record<string, unknown>) : {},
      headers: answer.headers,
    }
  }

  /** Links in the newest mail, by their path. */
  link(path: string): string {
    const text = this.post.smtp.mails.at(-1)!.parts[0]!.content
    const link = new RegExp(`https://${ORIGIN}(/${path}/\\S+)`).exec(text)?.[1]
    if (link === undefined) throw new Error(`no link ${path} in ${text}`)
    return link
  }

  /** Subscribes a mailbox and confirms it; gives id and token. */
  async subscribe(
    name = 'example.fi',
    address = 'ops@example.net',
  ): Promise<{ id: string; token: string }> {
    const asked = await this.ask('POST', '/v1/subscriptions', { body: { name, channel: address } })
    await this.post.deliver()
    const token = new URL(`https://x${this.link('confirm')}`).searchParams.get('token')
    const confirmed = await this.ask(
      'POST',
      `/v1/subscriptions/${String(asked.json['id'])}/confirm`,
      { body: { token } },
    )
    await this.post.deliver()
    return { id: String(confirmed.json['id']), token: String(confirmed.json['token']) }
  }

  async close(): Promise<void> {
    await this.app.close()
    await this.post.close()
  }
}

/** An owner key, and statements signed with it. */
export class OwnerKey {
  readonly #signer = ed25519Signer(randomBytes(32))

  /** A signed statement, as the API takes it. */
  state(options: {
    seq: number
    notAfter: number
    name?: string
    origin?: string
    pins?: string[]
  }) {
    const { name = 'example.fi', notAfter, origin = ORIGIN, pins = [PIN], seq } = options
    const bytes = encodePins({
      origin,
      name: nameFromText(name),
      seq,
      notAfter,
      pins: pins.map(pinFromText),
    })
    return {
      owner_key: toBase64(this.#signer.publicKey),
      seq,
      not_after: notAfter,
      pins,
      signature: toBase64(this.#signer.sign(bytes)),
    }
  }
}

export const PIN = `DS 4711 13 2 ${'AB'.repeat(32)}`
