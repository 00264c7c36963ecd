/**
 * Name servers that the world runs, NSD and Knot, on the loopback interface: from zone files, with
 * UDP, TCP and transfers, so that what works with our own server works with those of others.
 *
 *     const nsd = await startNsd([zoneFile(net.root), …])
 *     if (nsd === undefined) return                 not installed; a line says so
 *     await nsd.reload([zoneFile(net.root), …])     when it returns, the new zones are served
 *     await nsd.stop()
 */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { nameToText, type Name } from '@dslog/dnssec/name'
import type { Authority, Internet } from './internet.ts'
import { servedSerial } from './nameserver/probe.ts'
import type { Source } from './nameserver/responder.ts'
import type { Transfers } from './nameserver/server.ts'
import type { TsigKey } from './nameserver/tsig.ts'
import { processes } from './processes.ts'
import { finished, freePort, isInstalled, Program } from './program.ts'

/** A zone as a master file. */
export interface ZoneFile {
  readonly name: Name
  readonly text: string
  /** Serial of its SOA. */
  readonly serial: number
}

/** What else a server is told. */
export interface RealServerOptions {
  /** Where it listens: 127.0.0.1 unless told. */
  readonly addresses?: readonly string[]
  /** A free one unless told. */
  readonly port?: number
  /** To anybody unless told. */
  readonly transfers?: Transfers
  readonly tsigKeys?: readonly TsigKey[]
}

/** A server that runs. */
export interface RealServer {
  readonly addresses: readonly string[]
  readonly port: number
  /** Serves these in place of the zones of the same names, from when it returns on. */
  reload(zones: readonly ZoneFile[]): Promise<void>
  stop(): Promise<void>
}

/** A zone of an authority, or of a snapshot, as it is now. */
export function zoneFile({ name, zone }: Source): ZoneFile {
  return { name, text: zone.toText(), serial: zone.serial }
}

/** A whole internet on servers of others. */
export interface RealServers {
  /** The one port of all. */
  readonly port: number
  /** Serves what has changed since. */
  reload(): Promise<void>
  stop(): Promise<void>
}

/**
 * Serves each zone of an internet at its own addresses, as `NameServers` does, with NSD or Knot: one
 * of them for the zones that have all addresses in common, which then answers for all of those.
 *
 * @param start `startNsd` or `startKnot`
 */
export async function startAll(
  start: typeof startNsd,
  net: Internet,
  options: Omit<RealServerOptions, 'addresses'> = {},
): Promise<RealServers | undefined> {
  const groups = new Map<string, Authority[]>()
  for (const zone of net.zones) {
    const at = zone.servers.flatMap(({ addresses }) => addresses).join()
    groups.set(at, [...(groups.get(at) ?? []), zone])
  }
  const started: { readonly server: RealServer; readonly zones: readonly Authority[] }[] = []
  const serials = new Map<Authority, number>()
  let port = options.port
  const stop = async (): Promise<void> => {
    await Promise.all(started.map(({ server }) => server.stop()))
  }
  const reload = async (): Promise<void> => {
    for (const { server, zones } of started) {
      const changed = zones.filter((authority) => serials.get(authority) !== authority.zone.serial)
      if (changed.length > 0) await server.reload(changed.map(zoneFile))
      for (const authority of changed) serials.set(authority, authority.zone.serial)
    }
  }
  try {
    for (const [at, zones] of groups) {
      const here = { ...options, addresses: at.split(','), ...(port !== undefined && { port }) }
      const server = await start(zones.map(zoneFile), here)
      if (server === undefined) return undefined
      port = server.port
      started.push({ server, zones })
      for (const authority of zones) serials.set(authority, authority.zone.serial)
    }
  } catch (error) {
    await stop()
    throw error
  }
  if (port === undefined) throw new Error('an internet has a root')
  return { port, reload, stop }
}

/** NSD, or undefined (and a line that says so) where it is not installed. */
export async function startNsd(
  zones: readonly ZoneFile[],
  options: RealServerOptions = {},
): Promise<RealServer | undefined> {
  if (!isInstalled('nsd')) return undefined
  return start(zones, options, {
    config: nsdConfig,
    launch: (place) => Program.start('nsd', ['-d', '-c', join(place.folder, CONFIG)]),
    reload: async (program, { folder }) => {
      const before = [...processesIn(folder)]
      program.signal('SIGHUP')
      // The one that answered so far may take a question when the next one answers already.
      await program.until(async () => {
        await sleep(AGAIN_MS)
        const now = processesIn(folder)
        return before.some((pid) => !now.has(pid))
      })
    },
  })
}

/** Knot DNS, or undefined (and a line that says so) where it is not installed. */
export async function startKnot(
  zones: readonly ZoneFile[],
  options: RealServerOptions = {},
): Promise<RealServer | undefined> {
  if (!isInstalled('knotd')) return undefined
  return start(zones, options, {
    config: knotConfig,
    launch: (place) => Program.start('knotd', ['-c', join(place.folder, CONFIG)]),
    reload: async (_, place, reloaded) => {
      const names = reloaded.map(({ name }) => nameToText(name))
      const words = ['-c', join(place.folder, CONFIG), '-b', 'zone-reload', ...names]
      await finished(spawn('knotc', words))
    },
  })
}

const CONFIG = 'server.conf'
/** From one look at the processes to the next, ms. */
const AGAIN_MS = 10

/** Numbers of the processes that were started with the configuration there. */
function processesIn(folder: string): Set<number> {
  const config = join(folder, CONFIG)
  const all = [...processes()].filter(([, { command }]) => command.includes(config))
  return new Set(all.map(([pid]) => pid))
}

/** Where a server lives, and what it is asked to do. */
interface Place extends Required<RealServerOptions> {
  readonly folder: string
  /** Zones and their files, which stay where they are. */
  readonly files: ReadonlyMap<string, string>
}

/** What sets one program apart from the other. */
interface Kind {
  readonly config: (place: Place) => string
  readonly launch: (place: Place) => Program
  readonly reload: (program: Program, place: Place, zones: readonly ZoneFile[]) => Promise<void>
}

async function start(
  zones: readonly ZoneFile[],
  options: RealServerOptions,
  kind: Kind,
): Promise<RealServer> {
  const folder = mkdtempSync(join(tmpdir(), 'dslog-nameserver-'))
  const files = new Map(zones.map(({ name }, i) => [nameToText(name), `zone${i}`]))
  const { addresses = ['127.0.0.1'], transfers = 'anybody', tsigKeys = [] } = options
  const port = options.port ?? (await freePort(addresses[0]))
  const place: Place = { addresses, transfers, tsigKeys, port, folder, files }
  const write = (written: readonly ZoneFile[]): void => {
    for (const { name, text } of written) {
      const file = files.get(nameToText(name))
      if (file === undefined) throw new RangeError(`${nameToText(name)} is not served here`)
      writeFileSync(join(folder, file), text)
    }
  }
  write(zones)
  writeFileSync(join(folder, CONFIG), kind.config(place))
  const program = kind.launch(place)
  const served = async (expected: readonly ZoneFile[]): Promise<void> => {
    for (const address of addresses) {
      for (const { name, serial } of expected) {
        await program.until(async () => (await servedSerial(address, port, name)) === serial)
      }
    }
  }
  const stop = async (): Promise<void> => {
    await program.end()
    rmSync(folder, { recursive: true, force: true })
  }
  try {
    await served(zones)
  } catch (error) {
    await stop()
    throw error
  }
  return {
    addresses,
    port,
    stop,
    async reload(changed) {
      write(changed)
      await kind.reload(program, place, changed)
      await served(changed)
    },
  }
}

function base64({ secret }: TsigKey): string {
  return Buffer.from(secret).toString('base64')
}

function nsdConfig(place: Place): string {
  const { addresses, files, folder, port, transfers, tsigKeys } = place
  const allowed =
    transfers === 'anybody'
      ? ['NOKEY']
      : transfers === 'signed'
        ? tsigKeys.map(({ name }) => nameToText(name))
        : ['BLOCKED']
  const provide = ['127.0.0.0/8', '::1'].flatMap((from) =>
    allowed.map((key) => `  provide-xfr: ${from} ${key}\n`),
  )
  const keys = tsigKeys.map((key) => {
    const { algorithm, name } = key
    return `key:\n  name: "${nameToText(name)}"\n  algorithm: ${algorithm}\n  secret: "${base64(key)}"\n`
  })
  const zones = [...files].map(
    ([name, file]) => `zone:\n  name: "${name}"\n  zonefile: "${file}"\n${provide.join('')}`,
  )
  return `server:
${addresses.map((address) => `  ip-address: ${address}@${port}\n`).join('')}
  username: ""
  chroot: ""
  zonesdir: "${folder}"
  database: ""
  pidfile: "${folder}/nsd.pid"
  xfrdfile: "${folder}/xfrd.state"
  xfrdir: "${folder}"
  zonelistfile: "${folder}/zone.list"
  server-count: 1
  # Room for what a whole crowd asks at once, on a machine that does something else.
  receive-buffer-size: 8388608
  # No limit of answers a second: tests ask faster than any client should.
  rrl-ratelimit: 0
  rrl-whitelist-ratelimit: 0
remote-control:
  control-enable: no
${keys.join('')}${zones.join('')}`
}

function knotConfig(place: Place): string {
  const { addresses, files, folder, port, transfers, tsigKeys } = place
  const keys = tsigKeys.map((key) => {
    const { algorithm, name } = key
    return `  - id: ${nameToText(name)}\n    algorithm: ${algorithm}\n    secret: ${base64(key)}\n`
  })
  const isSigned = transfers === 'signed'
  const withKey = `    key: [${tsigKeys.map(({ name }) => nameToText(name)).join(', ')}]\n`
  const zones = [...files].map(
    ([name, file]) => `  - domain: "${name}"
    storage: ${folder}
    file: ${file}
    journal-content: none
    zonefile-load: whole
    zonefile-sync: -1
    semantic-checks: off
    acl: transfer
`,
  )
  return `server:
${addresses.map((address) => `    listen: ${address}@${port}\n`).join('')}
    rundir: ${folder}
    udp-workers: 1
    tcp-workers: 1
database:
    storage: ${folder}
log:
  - target: stderr
    any: warning
${keys.length > 0 ? `key:\n${keys.join('')}` : ''}
acl:
  - id: transfer
    address: [127.0.0.0/8, ::1]
    action: transfer
    deny: ${transfers === 'nobody' ? 'on' : 'off'}
${isSigned ? withKey : ''}
zone:
${zones.join('')}`
}
