/** What the tests of commands look at: a small signed internet and an honest log of it, served over HTTP. */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { formatAnchors } from '@dslog/dnssec/anchors'
import { type Name, nameFromText } from '@dslog/dnssec/name'
import { Internet } from '@dslog/testbed/internet'
import { dsNumber } from '@dslog/testbed/key'
import { LyingLog, Scribe, type ServedLog } from '@dslog/testbed/lyinglog'
import { STORIES } from '@dslog/testbed/stories'
import { type Called, dslog } from './io.ts'

/** Names in the first tree: enough for full tiles on two levels. */
const BULK = 300

/** Time between two trees, ms. */
const INTERVAL = 10_000

export class World {
  readonly net: Internet
  readonly scribe: Scribe
  /** Sizes that an honest log would have signed, smallest first. */
  readonly trees: number[] = []
  /** A name whose DS was replaced and removed. */
  readonly name: Name = nameFromText('example.fi.')
  /** For files of a test. */
  readonly folder: string
  readonly #serving: ServedLog[] = []

  private constructor(folder: string, net: Internet) {
    this.folder = folder
    this.net = net
    this.scribe = new Scribe({ anchors: net.anchors, now: net.clock.now })
  }

  static async make(bulk: number = BULK): Promise<World> {
    const net = new Internet()
    const fi = net.addZone('fi.')
    const world = new World(await mkdtemp(join(tmpdir(), 'dslog-cli-')), net)
    await writeFile(world.anchors, formatAnchors(net.anchors))
    await world.#tree()
    const names = Array.from({ length: bulk }, (_, i) => nameFromText(`name-${i}.fi.`))
    for (const [i, name] of names.entries()) fi.delegate(name, [dsNumber(i)])
    for (const name of names) await world.scribe.observe(name, net.evidence(name))
    await world.#tree()
    for (const { finding } of STORIES.insecure(net, world.name)) {
      if (finding.verdict === 'unverifiable') continue
      await world.scribe.observe(world.name, net.evidence(world.name))
      await world.#tree()
    }
    return world
  }

  /** File of the trust anchors. */
  get anchors(): string {
    return join(this.folder, 'anchors')
  }

  /** An honest log up to a size. */
  log(size: number = this.scribe.size): LyingLog {
    const log = new LyingLog()
    for (const tree of this.trees.filter((tree) => tree <= size)) {
      log.append(...this.scribe.entries.slice(log.size, tree)).sign()
    }
    return log
  }

  /** A log of other entries, signed once. */
  logOf(entries: readonly Uint8Array[]): LyingLog {
    const log = new LyingLog().append(...entries)
    log.sign()
    return log
  }

  /** A log made of the files below a folder, whatever they are. */
  async copyIn(folder: string): Promise<LyingLog> {
    const log = this.log(1)
    log.files.clear()
    for (const [path, data] of await filesIn(folder)) log.files.set(path, data)
    return log
  }

  /** Serves a log until the end of the tests. */
  async serve(log: LyingLog): Promise<ServedLog> {
    const served = await log.serve()
    this.#serving.push(served)
    return served
  }

  /** Calls a command about a served log, whose policy and trust anchors are known. */
  async call(log: LyingLog, command: string, ...args: string[]): Promise<Called> {
    const { url } = await this.serve(log)
    const policy = join(this.folder, 'policy')
    await writeFile(policy, log.policy)
    const common = ['--json', '--log', url, '--policy', policy, '--anchors', this.anchors]
    return dslog([command, ...args, ...common])
  }

  async close(): Promise<void> {
    await Promise.all(this.#serving.map((served) => served.close()))
    await rm(this.folder, { recursive: true, force: true })
  }

  async #tree(): Promise<void> {
    await this.scribe.mapHead()
    this.trees.push(this.scribe.size)
    this.net.clock.advance(INTERVAL)
  }
}

/** Every file below a folder, by path. */
export async function filesIn(folder: string): Promise<Map<string, Uint8Array>> {
  const files = new Map<string, Uint8Array>()
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue
    const path = join(entry.parentPath, entry.name)
    files.set(path.slice(folder.length + 1), new Uint8Array(await readFile(path)))
  }
  return files
}
