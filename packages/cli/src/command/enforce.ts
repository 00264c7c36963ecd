/**
 * `dslog enforce`: a DNS forwarder in front of a validating resolver, which answers SERVFAIL for what hangs from
 * a DS that is not in the log: what browsers do with certificates that no log has seen. What it decides by
 * is in ../enforce; here are its parts put together, and what it says.
 *
 * With a state folder the log is audited as a whole, at the start and every hour (`dslog audit`), and a log
 * that is caught is not believed any more.
 */
import { nodeBackend } from '@dslog/dnssec/backend/node'
import { wellFormed } from '@dslog/dnssec/error'
import { type Name, nameFromText, ROOT } from '@dslog/dnssec/name'
import { TYPE } from '@dslog/dnssec/records'
import { DAY, HOUR } from '@dslog/schema/time'
import { ZoneList } from '@dslog/log/zones'
import { DnsClient } from '@dslog/resolver/client'
import { ResolverError } from '@dslog/resolver/error'
import { systemClock, Ticker } from '@dslog/service/clock'
import type { Component } from '@dslog/service/run'
import type { SocketAddress } from '../argument.ts'
import { evidenceObject, PinnedClient } from '../audit/audit.ts'
import { auditResumed } from '../audit/resumed.ts'
import { readServiceConfig } from '../config.ts'
import { Cuts } from '../enforce/cuts.ts'
import { Enforcer, type Finding } from '../enforce/enforcer.ts'
import { EnforceError } from '../enforce/error.ts'
import { Forwarder } from '../enforce/forwarder.ts'
import { KnownStates } from '../enforce/known.ts'
import { EnforceState } from '../enforce/state.ts'
import { Upstream } from '../enforce/upstream.ts'
import { EXIT, Failure, messageOf } from '../failure.ts'
import { readName } from '../name.ts'
import { printableJson } from '../printable.ts'
import { NO_PROGRESS } from '../progress.ts'
import { verifierOf } from '../proof.ts'
import { quietLogger, runServices } from '../service.ts'
import type { Session } from '../session.ts'
import { servedAt } from '../source.ts'

export interface EnforceOptions {
  readonly upstream: SocketAddress
  readonly listen?: SocketAddress
  /** ms. */
  readonly grace?: number
  readonly report?: boolean
  readonly strict?: boolean
  readonly state?: string
  readonly zone?: readonly string[]
}

/** A forwarder of its own; 53 is the resolver's. */
const LISTEN: SocketAddress = { address: '127.0.0.1', port: 5353 }
/** Crawlers ask a name of no importance once a day: ms. */
const GRACE_MS = DAY
/** Between two audits, and between two looks whether a newer tree is to be kept, ms. */
const AUDIT_MS = HOUR
const SAVE_MS = 60_000
/** Who asks a resolver waits some seconds, and the log is one part of that: ms. */
const LOG_PATIENCE_MS = 3_000

export async function enforce(session: Session, options: EnforceOptions): Promise<void> {
  const { grace = GRACE_MS, listen = LISTEN, report = false, strict = false, upstream } = options
  const { output } = session
  demandLoopback(listen)
  const url = await session.requireLogUrl()
  const verifier = await verifierOf(session)
  const { log: config } = readServiceConfig(session.serviceEnv())
  const zones = new ZoneList(options.zone?.map(readName))
  const exchange = new DnsClient({ permits: (address) => address === upstream.address })
  await demandValidating(exchange, upstream, session)

  const state = options.state === undefined ? undefined : await EnforceState.open(options.state)
  const now = systemClock
  const source = servedAt(url, session.http({ timeoutMs: LOG_PATIENCE_MS, retries: 0 }))
  const pin = await state?.pin(verifier.policy)
  const known = new KnownStates({ source, verifier, now, pin })
  const enforcer = new Enforcer({
    cuts: new Cuts({ exchange, server: upstream, zones, now }),
    known,
    policy: { grace, reportOnly: report, strict, exempt: hostOf(url) },
    now,
    report: (finding) => tell(session, finding, report),
    waiting: (await state?.waiting()) ?? [],
    onFirstSeen: (seen) => {
      state?.addWaiting(seen).catch((error: unknown) => output.note(messageOf(error)))
    },
  })

  const behind = new Upstream(upstream)
  const onFault = (error: unknown): void => output.note(`a fault of dslog: ${messageOf(error)}`)
  let forwarder: Forwarder | undefined
  const components: Component[] = [
    {
      name: 'forwarder',
      async start() {
        const { address, port } = listen
        forwarder = await Forwarder.open({ upstream: behind, enforcer, address, port, onFault })
      },
      async stop() {
        behind.close()
        await Promise.all([forwarder?.close(), exchange.close()])
      },
    },
    ...(state === undefined
      ? []
      : [keeping(known, state), auditing(session, url, options.state!, known)]),
  ]
  await runServices(components, quietLogger('enforce', config, session.io), session.io)
  const where = { address: listen.address, port: forwarder!.port }
  output.event({ event: 'ready', ...where, upstream, log: url, grace, report, strict })
  const mode = report ? 'reports' : 'answers SERVFAIL for'
  output.note(
    `listening on ${where.address} port ${where.port}; ${mode} what hangs from a DS that ${url} lacks`,
  )
}

/** Keeps the newest tree, now and then and at the end. */
function keeping(known: KnownStates, state: EnforceState): Component {
  let ticker: Ticker | undefined
  const save = async (): Promise<void> => {
    if (known.pin !== undefined) await state.savePin(known.pin)
  }
  return {
    name: 'keeper',
    start(fail) {
      ticker = new Ticker({ interval: SAVE_MS, run: save, onError: fail })
    },
    async stop() {
      await ticker?.stop()
      await save()
    },
  }
}

/** Audits the whole log, again and again. */
function auditing(session: Session, url: string, folder: string, known: KnownStates): Component {
  const { output } = session
  const run = async (): Promise<void> => {
    const { anchors, policy } = await verifierOf(session)
    const http = session.http()
    const client = await PinnedClient.open(url, policy, http)
    const verifier = { anchors, backend: nodeBackend() }
    const context = { client, policy, verifier, http, progress: NO_PROGRESS }
    const { caught, size } = await auditResumed(context, folder)
    for (const one of caught) {
      const evidence = evidenceObject(client.pinned.checkpoint.origin, one)
      output.event({ event: 'misbehaviour', ...evidence })
      output.note(`the log was caught: ${one.detail}`)
    }
    const [first] = caught
    if (first !== undefined) known.distrust(new EnforceError('misbehaviour', first.detail))
    else {
      await known.advance(client.pinned)
      output.event({ event: 'audited', size, time: Date.now() })
    }
  }
  let ticker: Ticker | undefined
  return {
    name: 'audit',
    start() {
      const onError = (error: unknown): void => output.note(`audit: ${messageOf(error)}`)
      ticker = new Ticker({ interval: AUDIT_MS, jitter: 0.1, immediately: true, run, onError })
    },
    async stop() {
      await ticker?.stop()
    },
  }
}

/** A finding for people or, in report mode and with `--json`, for programs. */
function tell({ output }: Session, finding: Finding, isReport: boolean): void {
  if (output.json || isReport) {
    output.raw(`${printableJson(finding)}\n`)
    return
  }
  const { action, name } = finding
  if (finding.event === 'unknown') output.line(`${action}: ${name}: ${finding.detail}`)
  else {
    const ds = finding.ds.length === 0 ? 'no DS' : finding.ds.join(', ')
    const is = finding.event === 'unlogged' ? 'is not in the log' : 'was replaced in the log'
    const until = new Date(finding.blocked_from).toISOString()
    const grace = finding.because === 'grace' ? `, and passes until ${until}` : ''
    output.line(`${action}: ${name}: ${ds} ${is}${grace}`)
  }
}

/** What answers strangers is a weapon: no other address is listened on. */
function demandLoopback({ address }: SocketAddress): void {
  if (address === '::1' || address.startsWith('127.')) return
  throw new Failure(EXIT.usage, `--listen ${address}: only addresses of this machine, as 127.0.0.1`)
}

/** A resolver that does not validate shows what anybody told it; one that is down may come up later. */
async function demandValidating(
  exchange: DnsClient,
  upstream: SocketAddress,
  { output }: Session,
): Promise<void> {
  try {
    const how = { recursive: true, checkingDisabled: false }
    const { message } = await exchange.ask(upstream, { name: ROOT, type: TYPE.DNSKEY }, how)
    if (message.ad) return
  } catch (error) {
    if (!(error instanceof ResolverError)) throw error
    output.note(`the resolver does not answer yet: ${error.message}`)
    return
  }
  await exchange.close()
  const { address, port } = upstream
  throw new Failure(
    EXIT.usage,
    `${address} port ${port} does not validate: no AD for the root's keys`,
  )
}

/** The name of a log's host, if it has one. */
function hostOf(url: string): Name | undefined {
  return wellFormed(() => nameFromText(new URL(url).hostname))
}
