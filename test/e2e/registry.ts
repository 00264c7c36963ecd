/** A small signed internet on disk: zone files of a root and a registry, day by day, and trust anchors. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { formatAnchors } from '@dslog/dnssec/anchors'
import { nameFromText } from '@dslog/dnssec/name'
import { DAY } from '@dslog/schema/time'
import { TestClock } from '@dslog/testbed/clock'
import { type Authority, Internet, type ZoneOptions } from '@dslog/testbed/internet'
import { ownerDs } from '@dslog/testbed/stories'

export interface RegistryOptions {
  /** When it begins, ms since the Unix epoch; in the past unless told. */
  readonly start?: number
  /** Zones under the root; `test.` alone unless told. */
  readonly zones?: Readonly<Record<string, ZoneOptions>>
}

/** A root of its own, and registries under it. */
export class Registry {
  readonly net: Internet
  /** File of the root's trust anchors. */
  readonly anchors: string
  readonly #folder: string
  readonly #zones = new Map<string, Authority>()
  #files = 0

  constructor(folder: string, { start, zones = { test: {} } }: RegistryOptions = {}) {
    mkdirSync(folder, { recursive: true })
    this.#folder = folder
    this.net = new Internet(start === undefined ? {} : { clock: new TestClock(start) })
    for (const [label, options] of Object.entries(zones)) {
      this.#zones.set(label, this.net.addZone(`${label}.`, options))
    }
    this.anchors = join(folder, 'anchors')
    writeFileSync(this.anchors, formatAnchors(this.net.anchors))
  }

  zone(label = 'test'): Authority {
    return this.#zones.get(label)!
  }

  /** Gives a name the DS of its n-th key, or takes its DS away (0), or takes it out of its zone. */
  set(label: string, generation: number | undefined, zone = 'test'): void {
    const name = nameFromText(`${label}.${zone}.`)
    const authority = this.zone(zone)
    if (generation === undefined) authority.undelegate(name)
    else authority.delegate(name, generation === 0 ? [] : [ownerDs(name, generation)])
  }

  /** The next day. */
  sleep(): void {
    this.net.clock.advance(DAY)
  }

  /** Writes the root zone as it is now. */
  rootFile(): string {
    return this.write('root', this.net.root.sign().toText())
  }

  /** Writes a zone as it is now. */
  zoneFile(label = 'test'): string {
    return this.write(label, this.zone(label).sign().toText())
  }

  /** Writes a file. */
  write(name: string, content: string | Uint8Array): string {
    const path = join(this.#folder, `${this.#files++}-${name}.zone`)
    writeFileSync(path, content)
    return path
  }
}
