/**
 * Name servers on the loopback interface for the zones of an `Internet`: one at each address that a
 * zone says it is served at, all on one port, by UDP and TCP. Clients are told that port once, and find
 * the servers by referrals from the root, as they would outside.
 *
 *     const servers = await NameServers.start(net)
 *     servers.port, servers.hints()                  where to begin
 *     net.zoneOf(name).delegate(name, [ds])          the next answer has it
 *     servers.at('127.16.1.1').inject('servfail')    this one server is unwell
 *     servers.questions                              what all were asked, and by whom
 *     await servers.stop()
 *
 * What a question is answered with is responder.ts's business, the zone itself zone.ts's.
 */
import type { Authority, Internet, Server } from './internet.ts'
import { Listener } from './nameserver/listener.ts'
import type { Question } from './nameserver/question.ts'
import { NameServer } from './nameserver/server.ts'

/** How often another port is tried, where one is taken at some of the addresses. */
const PORT_TRIES = 20

/** The name servers of a small internet. */
export class NameServers {
  readonly #net: Internet
  readonly #now: () => number
  readonly #listeners = new Map<string, Listener>()
  #port = 0

  private constructor(net: Internet, now: () => number) {
    this.#net = net
    this.#now = now
  }

  /**
   * Starts a server at each address, on a port that is free at all of them.
   * @param now ms since the epoch, for logs and TSIG; the machine's clock unless told
   */
  static async start(net: Internet, now: () => number = Date.now): Promise<NameServers> {
    for (let tries = PORT_TRIES; ; tries--) {
      const servers = new NameServers(net, now)
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

  /** All servers. */
  get all(): readonly NameServer[] {
    return [...this.#listeners.values()].map(({ server }) => server)
  }

  /** The server at an address. */
  at(address: string): NameServer {
    const listener = this.#listeners.get(address)
    if (listener === undefined) throw new RangeError(`no server at ${address}`)
    return listener.server
  }

  /** The servers of a zone. */
  of({ servers }: Authority): NameServer[] {
    return servers.flatMap(({ addresses }) => addresses.map((address) => this.at(address)))
  }

  /** What all servers were asked, oldest first. */
  get questions(): Question[] {
    return this.all.flatMap(({ questions }) => questions).sort((a, b) => a.at - b.at)
  }

  /** Starts servers at the addresses of zones that came later. */
  async open(): Promise<void> {
    for (const address of this.#addresses()) {
      if (this.#listeners.has(address)) continue
      const server = new NameServer(address, () => this.#zonesAt(address), this.#now)
      const listener = await Listener.open(server, this.#port)
      this.#listeners.set(address, listener)
      this.#port = listener.port
    }
  }

  /** Ends all servers, and what they have not said yet. */
  async stop(): Promise<void> {
    await Promise.all([...this.#listeners.values()].map((listener) => listener.close()))
    this.#listeners.clear()
  }

  #addresses(): Set<string> {
    const servers = this.#net.zones.flatMap((zone) => zone.servers)
    return new Set(servers.flatMap(({ addresses }) => addresses))
  }

  /** The zones served at an address. */
  #zonesAt(address: string): Authority[] {
    return this.#net.zones.filter((zone) =>
      zone.servers.some(({ addresses }) => addresses.includes(address)),
    )
  }
}
