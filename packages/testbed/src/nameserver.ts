/**
 * Name servers on the loopback interface for the zones of an `Internet`: one at each address that a
 * zone says it is served at, all on one port, by UDP and TCP. Clients are told that port once, and find
 * the servers by referrals from the root, as they would outside.
 *
 *     const servers = await NameServers.start(net)
 *     servers.port, servers.hints()                  where to begin
 *     net.zoneOf(name).delegate(name, [ds])          the next answer has it
 *     await servers.stop()
 *
 * What a question is answered with is responder.ts's business, the zone itself zone.ts's.
 */
import type { Authority, Internet, Server } from './internet.ts'
import { Listener } from './nameserver/listener.ts'

/** How often another port is tried, where one is taken at some of the addresses. */
const PORT_TRIES = 20

/** The name servers of a small internet. */
export class NameServers {
  readonly #net: Internet
  readonly #listeners = new Map<string, Listener>()
  #port = 0

  private constructor(net: Internet) {
    this.#net = net
  }

  /** Starts a server at each address, on a port that is free at all of them. */
  static async start(net: Internet): Promise<NameServers> {
    for (let tries = PORT_TRIES; ; tries--) {
      const servers = new NameServers(net)
      try {
        await servers.open()
        return servers
      } catch (error) {
        await servers.stop()
        const isTaken = error instanceof Error && 'code' in error && error.code === 'EADDRINUSE'
        if (!isTaken || tries === 0) throw error
      }
    }
  }

  /** The one port of all servers. */
  get port(): number {
    return this.#port
  }

  /** Where a resolver begins: the servers of the root. */
  hints(): readonly Server[] {
    return this.#net.root.servers
  }

  /** Starts servers at the addresses of zones that came later. */
  async open(): Promise<void> {
    for (const address of this.#addresses()) {
      if (this.#listeners.has(address)) continue
      const listener = await Listener.open(address, this.#port, () => this.#at(address))
      this.#listeners.set(address, listener)
      this.#port = listener.port
    }
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#listeners.values()].map((listener) => listener.close()))
    this.#listeners.clear()
  }

  #addresses(): Set<string> {
    const servers = this.#net.zones.flatMap((zone) => zone.servers)
    return new Set(servers.flatMap(({ addresses }) => addresses))
  }

  /** The zones served at an address. */
  #at(address: string): Authority[] {
    return this.#net.zones.filter((zone) =>
      zone.servers.some(({ addresses }) => addresses.includes(address)),
    )
  }
}
