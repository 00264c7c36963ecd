/** An outbox with every channel, and where they lead to: what tests of delivery stand on. */
import type { MonitorTables } from '@dslog/schema/db'
import { HOUR } from '@dslog/schema/time'
import type { Database } from '@dslog/service/db'
import { TestClock } from '@dslog/testbed/clock'
import { SmtpSink } from '@dslog/testbed/smtpsink'
import { WebhookSink } from '@dslog/testbed/webhooksink'
import { silent } from '../../../test/silent.ts'
import { Egress, type EgressEdges } from '../src/channel/egress.ts'
import { EmailChannel, type ProofSource } from '../src/channel/email.ts'
import { HookChannel } from '../src/channel/hook.ts'
import { NtfyChannel } from '../src/channel/ntfy.ts'
import { StdoutChannel } from '../src/channel/stdout.ts'
import { WebhookChannel } from '../src/channel/webhook.ts'
import { ContentReader } from '../src/content.ts'
import { Digests } from '../src/digest.ts'
import { Links } from '../src/links.ts'
import { MailLimit } from '../src/maillimit.ts'
import { Outbox } from '../src/outbox.ts'
import { Pins } from '../src/pins.ts'
import { Windows } from '../src/windows.ts'
import { Subscriptions } from '../src/subscriptions.ts'
import { LinkTokens } from '../src/token.ts'
import { RUNNING } from './world.ts'

export const ORIGIN = 'monitor.example'

/** Everything of a monitor that tells owners, but its HTTP server. */
export class Post {
  readonly clock = new TestClock()
  readonly lines: string[] = []
  readonly failing: string[] = []
  readonly links = new Links(`https://${ORIGIN}`, new LinkTokens(new Uint8Array(32).fill(1)))
  readonly subscriptions: Subscriptions
  readonly pins: Pins
  readonly windows: Windows
  readonly digests: Digests
  readonly outbox: Outbox
  readonly #close: (() => Promise<unknown>)[] = []
  readonly smtp: SmtpSink
  readonly web: WebhookSink

  private constructor(
    db: Database<MonitorTables>,
    smtp: SmtpSink,
    web: WebhookSink,
    options: { perDay?: number; edges?: EgressEdges; trusted?: boolean; proofs?: ProofSource },
  ) {
    this.smtp = smtp
    this.web = web
    const clock = this.clock.now
    const egress = new Egress(options.edges)
    const email = new EmailChannel({
      server: smtp.url,
      from: 'dslog <dslog@monitor.example>',
      links: this.links,
      proofs: options.proofs ?? (async () => undefined),
    })
    this.subscriptions = new Subscriptions(db, clock)
    this.pins = new Pins(db, clock, ORIGIN)
    this.windows = new Windows(db, clock)
    this.digests = new Digests(db, clock)
    this.outbox = new Outbox({
      db,
      channels: {
        email,
        webhook: new WebhookChannel(egress, clock, async () => options.trusted ?? true),
        hook: new HookChannel(),
        ntfy: new NtfyChannel(egress),
        stdout: new StdoutChannel((line) => this.lines.push(line)),
      },
      contents: new ContentReader(db),
      limit: new MailLimit(db, options.perDay ?? 20),
      events: {
        confirmed: ({ id }) => this.subscriptions.confirmed(id),
        failing: async ({ id }, reason) => void this.failing.push(`${id}: ${reason}`),
      },
      clock,
      random: () => 0.5,
      logger: silent,
    })
    this.#close.push(
      () => egress.close(),
      async () => email.close(),
      () => smtp.down(),
      () => web.close(),
    )
  }

  static async open(
    db: Database<MonitorTables>,
    options: { perDay?: number; edges?: EgressEdges; trusted?: boolean; proofs?: ProofSource } = {},
  ): Promise<Post> {
    return new Post(db, await SmtpSink.start(), await WebhookSink.start(), options)
  }

  /** Delivers what can be delivered now. */
  deliver(): Promise<number> {
    return this.outbox.round(RUNNING)
  }

  /** Lets time pass, a step at a time, delivering at each. */
  async pass(ms: number, step = HOUR / 4): Promise<void> {
    for (let left = ms; left > 0; left -= step) {
      this.clock.advance(Math.min(step, left))
      await this.deliver()
    }
  }

  async close(): Promise<void> {
    for (const close of this.#close) await close()
  }
}
