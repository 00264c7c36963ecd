/**
 * `dslog enforce` with real Unbound behind it, before the name servers of a small internet and a real log: what is
 * logged is answered, what is not gets SERVFAIL, and what cannot be known passes. Where Unbound is not
 * installed a line says so, and these are left out.
 */
import { formatSkey } from '@dslog/tlog/key'
import { HttpClient } from '@dslog/tlog/http'
import { parsePolicy } from '@dslog/tlog/policy'
import { ALGORITHM } from '@dslog/dnssec/backend/backend'
import { nodeBackend } from '@dslog/dnssec/backend/node'
import type { Message } from '@dslog/dnssec/message'
import { type Name, nameFromText } from '@dslog/dnssec/name'
import { TYPE } from '@dslog/dnssec/records'
import { Cuts } from '@dslog/cli/enforce/cuts'
import { Enforcer, type EnforcePolicy, type Finding } from '@dslog/cli/enforce/enforcer'
import { Forwarder } from '@dslog/cli/enforce/forwarder'
import { KnownStates } from '@dslog/cli/enforce/known'
import { Upstream } from '@dslog/cli/enforce/upstream'
import { servedAt } from '@dslog/cli/source'
import { MINUTE } from '@dslog/schema/time'
import { ZoneList } from '@dslog/log/zones'
import { DnsClient } from '@dslog/resolver/client'
import { encodeQuery, TcpAsker, UdpAsker } from '@dslog/testbed/asker'
import { Internet, record } from '@dslog/testbed/internet'
import { NameServers } from '@dslog/testbed/nameserver'
import { startUnbound, type Unbound } from '@dslog/testbed/unbound'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { type RunningLogService, startLogService } from '../logservice.ts'
import { keyOf, Places, policyOf } from '../place.ts'
import { observe } from '../testlog.ts'

/** Unbound's time stands still, so that of the test goes on by little. */
const GRACE = 10 * MINUTE
const SERVFAIL = 2
const RD = 0x0100

const net = new Internet({ servers: 1 })
const fi = net.addZone('fi.', { denial: { nsec3: { optOut: true } } })
const labels = ['good', 'swapped', 'stripped', 'late', 'rolled', 'host']
const zones = labels.map((label) => net.addZone(`${label}.fi.`))
const [, swapped, stripped, late, rolled] = zones as [never, ...typeof zones]
const unsigned = net.addZone('unsigned.fi.', { secure: false })
for (const zone of [...zones, unsigned]) {
  zone.add(record(nameFromText('www', zone.name), 'A', '192.0.2.1'))
}
const good = net.zoneOf(nameFromText('good.fi.'))
good.add(record('alias.good.fi.', 'CNAME', 'www.swapped.fi.'))
good.add(record('dangling.good.fi.', 'CNAME', 'nothing.swapped.fi.'))
for (let i = 0; i < 100; i++) good.add(record('large.good.fi.', 'TXT', `"${i}${'x'.repeat(40)}"`))

let places: Places
let servers: NameServers
let unbound: Unbound | undefined
let log: RunningLogService
/** What the machine's resolver says to the log's address: off, and it cannot be reached. */
let isLogUp = true

beforeAll(async () => {
  for (const zone of net.zones) zone.sign()
  places = await Places.open(['embedded'])
  servers = await NameServers.start(net)
  unbound = await startUnbound(net, { upstream: servers.port })
  const place = await places.make('embedded', net.anchors)
  const env = {
    ...place.env,
    DSLOG_LOG_KEY: formatSkey(keyOf()),
    DSLOG_LOG_PUBLISH_INTERVAL: '10ms',
  }
  log = await startLogService(env, net.clock.now)
  await submit(fi.name, ...zones.map(({ name }) => name))
})
afterAll(async () => {
  await unbound?.stop()
  await servers.stop()
  await log.life.stop()
  await places.close()
})

async function submit(...owners: readonly Name[]): Promise<void> {
  const results = await log.opened.admitter.submit(owners.map((owner) => observe(net, owner)))
  expect(results.map(({ status }) => status)).toEqual(owners.map(() => 'logged'))
}

const open: { close(): Promise<void> | void }[] = []
afterEach(async () => {
  isLogUp = true
  for (const one of open.splice(0)) await one.close()
})

/** A forwarder, and what it has reported. */
async function forwarder(own: Partial<EnforcePolicy> = {}) {
  const now = net.clock.now
  const server = { address: '127.0.0.1', port: unbound!.port }
  const exchange = new DnsClient({ permits: () => true })
  const fetch: typeof globalThis.fetch = (...args) =>
    isLogUp ? globalThis.fetch(...args) : Promise.reject(new TypeError('no route to host'))
  const http = new HttpClient({ fetch, now, random: Math.random }, { retries: 0 })
  const policy = parsePolicy(policyOf())
  const verifier = { policy, anchors: net.anchors, backend: nodeBackend() }
  const source = servedAt(log.url, http)
  const findings: Finding[] = []
  const enforcer = new Enforcer({
    cuts: new Cuts({ exchange, server, zones: new ZoneList(), now }),
    known: new KnownStates({ source, verifier, now }),
    policy: { grace: GRACE, reportOnly: false, strict: false, ...own },
    now,
    report: (finding) => findings.push(finding),
  })
  const upstream = new Upstream(server)
  const faults: unknown[] = []
  const onFault = (error: unknown): void => void faults.push(error)
  const { address } = server
  const forwarder = await Forwarder.open({ upstream, enforcer, address, port: 0, onFault })
  const udp = await UdpAsker.open(address, forwarder.port)
  const tcp = await TcpAsker.open(address, forwarder.port)
  open.push(udp, tcp, forwarder, upstream, exchange, { close: () => expect(faults).toEqual([]) })
  const ask = (name: string, type: number = TYPE.A): Promise<Message> =>
    udp.ask({ name, type, flags: RD, dnssecOk: false })
  return { ask, findings, udp, tcp, port: forwarder.port }
}

/** Info codes of the extended errors in a reply. */
function codesOf({ additional }: Message): number[] {
  const opt = additional.find(({ type }) => type === TYPE.OPT)
  const [, option, , , , code] = opt?.rdata ?? []
  return option === 15 && code !== undefined ? [code] : []
}

/** Some time goes on, and Unbound looks anew. */
async function later(ms: number): Promise<void> {
  net.clock.advance(ms)
  await unbound!.flush()
}

const BLOCKED = { rcode: SERVFAIL, codes: [15] }
const outcome = async (reply: Promise<Message>) => {
  const message = await reply
  const { length } = message.answer
  return message.rcode === SERVFAIL
    ? { rcode: SERVFAIL, codes: codesOf(message) }
    : { rcode: message.rcode, answers: length }
}
const ANSWERED = { rcode: 0, answers: 1 }

test('what is logged is answered; so are names without a DS, and names that are not', async ({
  skip,
}) => {
  if (unbound === undefined) return skip()
  const { ask, findings, udp } = await forwarder({ grace: 0, strict: true })
  const named = await udp.ask({ name: 'www.good.fi.', type: TYPE.A, flags: RD, id: 4711 })
  expect(named).toMatchObject({ id: 4711 })
  expect(await outcome(ask('www.good.fi.'))).toEqual(ANSWERED)
  expect(await outcome(ask('good.fi.', TYPE.DS))).toEqual(ANSWERED)
  expect(await outcome(ask('www.unsigned.fi.'))).toEqual(ANSWERED)
  expect(await outcome(ask('nothing.fi.'))).toEqual({ rcode: 3, answers: 0 })
  expect(await outcome(ask('nothing.'))).toEqual({ rcode: 3, answers: 0 })
  expect(await outcome(ask('.', TYPE.DNSKEY))).toMatchObject({ rcode: 0 })
  expect(findings).toEqual([])
})

test('a DS that was swapped unseen has its grace time, then there is SERVFAIL', async ({
  skip,
}) => {
  if (unbound === undefined) return skip()
  const { ask, findings, tcp, udp } = await forwarder()
  expect(await outcome(ask('www.swapped.fi.'))).toEqual(ANSWERED)
  expect(await outcome(ask('dangling.good.fi.'))).toEqual({ rcode: 3, answers: 1 })
  net.rekey(swapped!, 2, ALGORITHM.ECDSAP256SHA256)
  await later(MINUTE)
  expect(await outcome(ask('www.swapped.fi.'))).toEqual(ANSWERED)
  expect(findings).toMatchObject([
    { event: 'unlogged', action: 'passed', because: 'grace', name: 'swapped.fi.', zone: 'fi.' },
  ])
  await later(GRACE)
  expect(await outcome(ask('www.swapped.fi.'))).toEqual(BLOCKED)
  expect(await outcome(ask('alias.good.fi.'))).toEqual(BLOCKED)
  expect(await outcome(ask('dangling.good.fi.'))).toEqual(BLOCKED)
  expect(await outcome(ask('swapped.fi.', TYPE.DS))).toEqual(BLOCKED)
  expect(await outcome(ask('www.good.fi.'))).toEqual(ANSWERED)
  // Also by TCP, to who does without validation, and to who knows no EDNS.
  const disabled = { name: 'www.swapped.fi.', type: TYPE.A, flags: RD | 0x10 }
  expect(await outcome(tcp.ask(disabled))).toEqual(BLOCKED)
  const old = { ...disabled, flags: RD, size: undefined }
  expect(await outcome(udp.ask(old))).toEqual({ rcode: SERVFAIL, codes: [] })
  expect(findings.at(-1)).toMatchObject({ event: 'unlogged', action: 'blocked' })
  // In report mode nothing is blocked.
  const report = await forwarder({ grace: 0, reportOnly: true })
  expect(await outcome(report.ask('www.swapped.fi.'))).toEqual(ANSWERED)
  expect(report.findings).toMatchObject([{ action: 'passed', because: 'report-mode' }])
})

test('a DS that was taken away unseen is found out, also under opt-out', async ({ skip }) => {
  if (unbound === undefined) return skip()
  const { ask, findings } = await forwarder({ grace: 0 })
  expect(await outcome(ask('www.stripped.fi.'))).toEqual(ANSWERED)
  fi.delegate(stripped!.name)
  await later(MINUTE)
  expect(await outcome(ask('www.stripped.fi.'))).toEqual(BLOCKED)
  expect(findings).toMatchObject([{ event: 'unlogged', name: 'stripped.fi.', ds: [] }])
  await submit(stripped!.name)
  await later(MINUTE)
  expect(await outcome(ask('www.stripped.fi.'))).toEqual(ANSWERED)
})

test('a change that is logged while it waits is never blocked', async ({ skip }) => {
  if (unbound === undefined) return skip()
  const { ask, findings } = await forwarder()
  expect(await outcome(ask('www.late.fi.'))).toEqual(ANSWERED)
  net.rekey(late!, 2, ALGORITHM.ECDSAP256SHA256)
  await later(MINUTE)
  expect(await outcome(ask('www.late.fi.'))).toEqual(ANSWERED)
  await submit(late!.name)
  await later(GRACE)
  expect(await outcome(ask('www.late.fi.'))).toEqual(ANSWERED)
  expect(findings).toMatchObject([{ event: 'unlogged', action: 'passed' }])
})

test('a state that was replaced is good for a while, and not for ever', async ({ skip }) => {
  if (unbound === undefined) return skip()
  const { ask, findings } = await forwarder()
  const before = rolled!.dsRecords()
  fi.delegate(rolled!.name, rolled!.dsRecords().concat(zones[0]!.dsRecords()))
  net.clock.advance(MINUTE)
  await submit(rolled!.name)
  // What a cache still has.
  fi.delegate(rolled!.name, before)
  await later(MINUTE)
  expect(await outcome(ask('www.rolled.fi.'))).toEqual(ANSWERED)
  expect(findings).toEqual([])
  await later(GRACE)
  expect(await outcome(ask('www.rolled.fi.'))).toEqual(ANSWERED)
  expect(findings).toMatchObject([{ event: 'replaced', because: 'grace' }])
  await later(GRACE)
  expect(await outcome(ask('www.rolled.fi.'))).toEqual(BLOCKED)
})

test('while the log cannot be reached all passes, unless strict', async ({ skip }) => {
  if (unbound === undefined) return skip()
  isLogUp = false
  const lax = await forwarder({ grace: 0 })
  expect(await outcome(lax.ask('www.good.fi.'))).toEqual(ANSWERED)
  expect(lax.findings).toMatchObject([{ event: 'unknown', code: 'log', action: 'passed' }])
  const strict = await forwarder({ grace: 0, strict: true, exempt: nameFromText('www.host.fi.') })
  expect(await outcome(strict.ask('www.good.fi.'))).toEqual({ rcode: SERVFAIL, codes: [23] })
  expect(await outcome(strict.ask('www.host.fi.'))).toEqual(ANSWERED)
  // It comes back.
  isLogUp = true
  await later(MINUTE)
  expect(await outcome(strict.ask('www.good.fi.'))).toEqual(ANSWERED)
})

test('what is too large for UDP is asked again by TCP', async ({ skip }) => {
  if (unbound === undefined) return skip()
  const { ask, tcp } = await forwarder()
  expect(await ask('large.good.fi.', TYPE.TXT)).toMatchObject({ tc: true })
  const whole = await tcp.ask({ name: 'large.good.fi.', type: TYPE.TXT, flags: RD })
  expect(whole.answer.filter(({ type }) => type === TYPE.TXT)).toHaveLength(100)
})

test('garbage does no harm', async ({ skip }) => {
  if (unbound === undefined) return skip()
  const { ask, port, tcp, udp } = await forwarder()
  const query = encodeQuery({ name: 'www.good.fi.', type: TYPE.A, flags: RD })
  for (let end = 0; end < query.length; end++) udp.send(query.subarray(0, end))
  for (let end = 12; end < query.length; end++) {
    // Each that has a header is told that it cannot be read.
    expect((await udp.next()).bytes[3]! & 0xf).toBe(1)
  }
  expect(await outcome(ask('www.good.fi.'))).toEqual(ANSWERED)
  // Many questions in one piece, answered each; then one that is none, which ends the connection.
  for (let id = 0; id < 200; id++) {
    tcp.send(encodeQuery({ name: 'www.good.fi.', type: TYPE.A, flags: RD, id }))
  }
  const ids = new Set<number>()
  for (let i = 0; i < 200; i++) {
    const answer = await tcp.next()
    ids.add(answer![0]! * 256 + answer![1]!)
  }
  expect(ids.size).toBe(200)
  tcp.write(Uint8Array.of(0, 3, 1, 2, 3))
  expect(await tcp.next()).toBeUndefined()
  const again = await TcpAsker.open('127.0.0.1', port)
  open.push(again)
  expect(await outcome(again.ask({ name: 'www.good.fi.', type: TYPE.A, flags: RD }))).toMatchObject(
    { rcode: 0 },
  )
})
