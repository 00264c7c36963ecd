/**
 * Everything of a monitor that owners have to do with, put together: subscriptions, statements, channels,
 * the outbox, summaries, alarms, and the operator's own lists.
 */
import { join } from 'node:path'
import type { HttpClient } from '@dslog/tlog/http'
import { nameFromText } from '@dslog/dnssec/name'
import type { ChannelRow } from '@dslog/schema/alertdb'
import type { MonitorTables } from '@dslog/schema/db'
import { DAY } from '@dslog/schema/time'
import type { Clock } from '@dslog/service/clock'
import type { Database } from '@dslog/service/db'
import type { Logger } from '@dslog/service/log'
import type { Component } from '@dslog/service/run'
import { type AlarmedLog, Alarms } from './alarm.ts'
import type { Channels } from './channel/channel.ts'
import { Egress, type EgressEdges } from './channel/egress.ts'
import { EmailChannel, type ProofSource } from './channel/email.ts'
import { HookChannel } from './channel/hook.ts'
import { NtfyChannel } from './channel/ntfy.ts'
import { StdoutChannel } from './channel/stdout.ts'
import { WebhookChannel } from './channel/webhook.ts'
import { Chores } from './chores.ts'
import type { MonitorConfig } from './config.ts'
import { ContentReader } from './content.ts'
import { Digests } from './digest.ts'
import { Links } from './links.ts'
import { MailLimit } from './maillimit.ts'
import { describeChannel, tell } from './notice.ts'
import { Outbox, type OutboxEvents } from './outbox.ts'
import { OwnerError } from './owner-error.ts'
import type { OwnerContext } from './route/context.ts'
import { Pins } from './pins.ts'
import { Subscriptions } from './subscriptions.ts'
import { openOperator } from './operator.ts'
import { operatorTarget, publicTarget, type Target } from './target.ts'
import { LinkTokens, openSecret } from './token.ts'
import { Watchlist } from './watchlist.ts'
import { Windows } from './windows.ts'

/** File of the secret of links. */
const SECRET_FILE = 'monitor-secret'

export interface OwnersOptions {
  readonly config: MonitorConfig
  readonly db: Database<MonitorTables>
  readonly clock: Clock
  readonly logger: Logger
  readonly http: HttpClient
  readonly logs: readonly AlarmedLog[]
  readonly proofs: ProofSource
  readonly software: string
  /** Public URL, unless configured. */
  readonly url: string
  readonly edges?: EgressEdges
  readonly write?: (line: string) => void
}

/** The opened parts. */
export interface Owners {
  readonly context: OwnerContext
  readonly outbox: Outbox
  readonly alarms: Alarms
  /** Sends, cleans and watches over itself until it is stopped. */
  readonly component: Component
}

/** Name of a monitor in statements of owners: its public URL without the scheme. */
export function originOf(url: string): string {
  const { host, pathname } = new URL(url)
  return `${host}${pathname}`.replace(/\/+$/, '')
}

/** Puts the parts together. */
export async function openOwners(options: OwnersOptions): Promise<Owners> {
  const { clock, config, db, edges = {}, logger, url } = options
  const tokens = new LinkTokens(await openSecret(join(config.data, SECRET_FILE)))
  const links = new Links(url, tokens)
  const origin = originOf(url)
  const subscriptions = new Subscriptions(db, clock)
  const pins = new Pins(db, clock, origin)
  const egress = new Egress(edges)
  const email = emailOf(options, links)
  const isTrusted = async ({ subscription }: ChannelRow): Promise<boolean> => {
    const row = await db.kysely
      .selectFrom('subscription')
      .select('source')
      .where('id', '=', subscription)
      .executeTakeFirst()
    return row !== undefined && row.source !== 'api'
  }
  const channels: Channels = {
    webhook: new WebhookChannel(egress, clock, isTrusted),
    hook: new HookChannel(),
    ntfy: new NtfyChannel(egress),
    stdout: new StdoutChannel(options.write ?? ((line) => process.stdout.write(line))),
    ...(email !== undefined && { email }),
  }
  const outbox = new Outbox({
    db,
    channels,
    contents: new ContentReader(db),
    limit: new MailLimit(db, config.mailsPerDay),
    events: eventsOf(db, clock, subscriptions),
    clock,
    logger,
  })
  const alarms = new Alarms({
    db,
    clock,
    logger,
    logs: options.logs,
    canary: config.canary === undefined ? undefined : nameFromText(config.canary),
    ping: pingOf(options),
  })
  await openOperator(db, config.operator.map(operatorTarget), clock())
  const poke = (): void => outbox.poke()
  const chores = new Chores({ db, clock, digests: new Digests(db, clock), alarms, poke })
  const parts: Component[] = [outbox, chores]
  if (config.watchlist !== undefined) {
    parts.unshift(new Watchlist({ path: config.watchlist, db, clock, logger, poke }))
  }
  const context: OwnerContext = {
    db,
    subscriptions,
    pins,
    windows: new Windows(db, clock),
    tokens,
    links,
    info: {
      origin,
      url,
      channels: config.subscribe ? ['webhook', ...(email === undefined ? [] : ['email'])] : [],
      software: options.software,
    },
    targetOf: (text) =>
      strangersTarget(text, config.subscribe, email !== undefined, edges.isSpecial),
    poke,
    clock,
  }
  return { context, outbox, alarms, component: together(parts, egress, email) }
}

function emailOf({ config, proofs }: OwnersOptions, links: Links): EmailChannel | undefined {
  if (config.smtp === undefined) return undefined
  const from = config.mailFrom ?? `dslog monitor <dslog@${new URL(links.base).hostname}>`
  return new EmailChannel({ server: config.smtp.reveal(), from, links, proofs })
}

function strangersTarget(
  text: string,
  isOpen: boolean,
  hasMail: boolean,
  isSpecial: EgressEdges['isSpecial'],
): Target {
  if (!isOpen) throw new OwnerError('invalid', 'this monitor takes no subscriptions')
  const target = publicTarget(text, isSpecial)
  if (target.kind !== 'email' || hasMail) return target
  throw new OwnerError('invalid', 'this monitor sends no mail: give the URL of a webhook')
}

/** What becomes of channels: confirmations, and failures that others should hear of. */
function eventsOf(
  db: Database<MonitorTables>,
  clock: Clock,
  subscriptions: Subscriptions,
): OutboxEvents {
  return {
    confirmed: ({ id }) => subscriptions.confirmed(id),
    async failing(channel, reason) {
      const now = clock()
      await db.transaction(async (trx) => {
        // Once a day and channel, and only if there is another to say it over.
        const last = await trx
          .selectFrom('alert')
          .select('raised_at')
          .where('subscription', '=', channel.subscription)
          .where('rule', '=', 'channel')
          .where('cause', 'like', `channel failing ${channel.id}%`)
          .orderBy('seq', 'desc')
          .executeTakeFirst()
        if (last !== undefined && now - last.raised_at < DAY) return
        const others = await trx
          .selectFrom('channel')
          .select('id')
          .where('subscription', '=', channel.subscription)
          .where('id', '<>', channel.id)
          .where('state', '=', 'active')
          .execute()
        if (others.length === 0) return
        const why = `A channel does not take what is sent: ${describeChannel(channel)}: ${reason}`
        await tell(
          trx,
          channel.subscription,
          'channel',
          why,
          now,
          channel.id,
          `channel failing ${channel.id} ${now}`,
        )
      })
    },
  }
}

function pingOf({ config, http, logger }: OwnersOptions): (() => Promise<void>) | undefined {
  const { pingUrl } = config
  if (pingUrl === undefined) return undefined
  return async () => {
    try {
      await http.request(pingUrl, { maxBytes: 65_536, signal: AbortSignal.timeout(10_000) })
    } catch (error) {
      logger.warn({ reason: String(error) }, 'the dead-man ping was not taken')
    }
  }
}

/** Starts parts in order, stops them in reverse, and lets go of what they used. */
function together(
  parts: readonly Component[],
  egress: Egress,
  email: EmailChannel | undefined,
): Component {
  return {
    name: 'owners',
    async start(fail) {
      for (const part of parts) await part.start(fail)
    },
    async stop() {
      for (const part of parts.toReversed()) await part.stop?.()
      email?.close()
      await egress.close()
    },
  }
}
