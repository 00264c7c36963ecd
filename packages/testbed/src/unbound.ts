/**
 * Unbound, the resolver, as a validator that shares nothing with ours: on the loopback interface, with
 * the trust anchors and the time of a test, asking the servers of a small internet.
 */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { nameToText } from '@dslog/dnssec/name'
import { TYPE } from '@dslog/dnssec/records'
import { rdataToText } from '@dslog/dnssec/rdata'
import { dsOf } from './key.ts'
import type { Internet } from './internet.ts'
import { finished, freePort, isInstalled, Program } from './program.ts'

/** What Unbound prints when it can be asked. */
const READY = 'start of service'

/** Unbound that runs. */
export interface Unbound {
  readonly address: string
  readonly port: number
  /** Forgets what it has heard, so that the next question sees what servers say then. */
  flush(): Promise<void>
  stop(): Promise<void>
}

/** How Unbound is to run. */
export interface UnboundOptions {
  /** The port of the name servers of the internet. */
  readonly upstream: number
  /** Lines of the section `server:`, as `name: value`. */
  readonly settings?: readonly string[]
}

/**
 * Starts Unbound, or gives undefined (and a line that says so) where it is not installed. It has the
 * anchors and the time that the internet has now, and knows the zones that are there now: it cannot be
 * told to ask another port than 53 in general, but for each zone.
 */
export async function startUnbound(
  net: Internet,
  { settings = [], upstream }: UnboundOptions,
): Promise<Unbound | undefined> {
  if (!isInstalled('unbound')) return undefined
  const folder = mkdtempSync(join(tmpdir(), 'dslog-unbound-'))
  const port = await freePort()
  const config = join(folder, 'unbound.conf')
  writeFileSync(config, unboundConfig(net, folder, port, upstream, settings))
  const program = Program.start('unbound', ['-d', '-c', config])
  const stop = async (): Promise<void> => {
    await program.end()
    rmSync(folder, { recursive: true, force: true })
  }
  try {
    await program.printed(READY)
  } catch (error) {
    await stop()
    throw error
  }
  const flush = async (): Promise<void> => {
    for (const words of [
      ['flush_zone', '.'],
      ['flush_infra', 'all'],
    ]) {
      await finished(spawn('unbound-control', ['-c', config, ...words]))
    }
  }
  return { address: '127.0.0.1', port, flush, stop }
}

function unboundConfig(
  net: Internet,
  folder: string,
  port: number,
  upstream: number,
  settings: readonly string[],
): string {
  const time = new Date(net.clock.now()).toISOString().replaceAll(/[-:T]/g, '').slice(0, 14)
  const anchors = net.root.entryKeys().map((key) => {
    const ds = rdataToText(TYPE.DS, dsOf(net.root.name, key))
    return `  trust-anchor: ". DS ${ds}"\n`
  })
  const stubs = net.zones.map(({ name, servers }) => {
    const addresses = servers.flatMap((server) => server.addresses)
    const lines = addresses.map((address) => `  stub-addr: ${address}@${upstream}\n`)
    return `stub-zone:\n  name: "${nameToText(name)}"\n${lines.join('')}`
  })
  // Unbound has zones of its own for names that are nobody's (RFC 6761), `test.` among them: not here.
  const own = net.zones.map(({ name }) => `  local-zone: "${nameToText(name)}" nodefault\n`)
  return `server:
  interface: 127.0.0.1@${port}
  access-control: 127.0.0.0/8 allow
  do-daemonize: no
  use-syslog: no
  logfile: ""
  username: ""
  chroot: ""
  directory: "${folder}"
  pidfile: "${folder}/unbound.pid"
  do-not-query-localhost: no
  val-override-date: "${time}"
${anchors.join('')}${own.join('')}
  trust-anchor-signaling: no
  root-key-sentinel: no
  qname-minimisation: no
  aggressive-nsec: no
  target-fetch-policy: "0 0 0 0 0"
  module-config: "validator iterator"
${settings.map((line) => `  ${line}\n`).join('')}
remote-control:
  control-enable: yes
  control-interface: "${folder}/control"
  control-use-cert: no
${stubs.join('')}`
}
