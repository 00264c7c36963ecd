/**
 * What the contracts are asked of: logs and a monitor as processes run them, over HTTP on the loopback interface, and a
 * small signed internet to submit evidence from. All that is submitted was signed at the same times in every run, so indices
 * and sizes are the same too; only what hangs from signatures and from the minute of the day is not.
 *
 *     service filled     a log with a history: see `#filled`; nothing may be added to it
 *     service new        a log of the story's own, with nothing in it
 *     service monitor    a monitor that has verified the filled log
 */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ByteWriter } from '@dslog/tlog/binary'
import { toBase64 } from '@dslog/tlog/bytes'
import { formatVkey } from '@dslog/tlog/key'
import { type Name, nameFromText, nameToText } from '@dslog/dnssec/name'
import { type RR, TYPE } from '@dslog/dnssec/records'
import { encodeRecord } from '@dslog/dnssec/wire'
import type { MonitorStatus, SubmitResult } from '@dslog/schema/api'
import { DAY } from '@dslog/schema/time'
import { readConfig } from '@dslog/service/config'
import { Lifecycle } from '@dslog/service/run'
import { goingOn, TEST_EPOCH, TestClock } from '@dslog/testbed/clock'
import { Internet } from '@dslog/testbed/internet'
import { ownerDs } from '@dslog/testbed/stories'
import { logService } from '@dslog/log/main'
import { policyText } from '@dslog/log/policy'
import { MONITOR_CONFIG } from '@dslog/monitor/config'
import { monitorService } from '@dslog/monitor/main'
import { keyOf, ORIGIN, Places } from '../place.ts'
import { silent } from '../silent.ts'
import { configOf, wire } from '../testlog.ts'

/** The operator's token of every log. */
const TOKEN = 'contract-operator-token'

/** When `old` was signed: its signatures have long expired. */
const LONG_AGO = TEST_EPOCH - 30 * DAY
/** When the first state of everything was signed; the second a day later, which is when the logs begin. */
const FIRST = TEST_EPOCH
const SECOND = FIRST + DAY

/** How many names there are beside those with a story: with them the log has a full bundle. */
const MANY = 250

/** Zones of the internet that submissions come from: `fi.` with NSEC, `se.` with NSEC3. */
const net = new Internet({ clock: new TestClock(LONG_AGO) })
const fi = net.addZone('fi.')
const se = net.addZone('se.', { denial: { nsec3: {} } })

/** A state of the delegation of a name: the DS of one of its keys, or none for 0. */
function delegate(owner: Name, generation: number): void {
  const ds = generation === 0 ? [] : [ownerDs(owner, generation)]
  net.parentOf(owner).delegate(owner, ds)
}

/** Evidence by what stories call it, as the `records` of an observation. */
function makeEvidence(): Map<string, readonly string[]> {
  const made = new Map<string, readonly string[]>()
  const take = (title: string, records: readonly RR[]): void => void made.set(title, wire(records))

  delegate(nameFromText('old.fi.'), 1)
  take('old', net.evidence(nameFromText('old.fi.')))

  net.clock.set(FIRST)
  delegate(nameFromText('one.fi.'), 1)
  delegate(nameFromText('swap.fi.'), 1)
  delegate(nameFromText('two.fi.'), 0)
  delegate(nameFromText('three.se.'), 1)
  for (const owner of many()) delegate(owner, 1)
  take('one signed', net.evidence(nameFromText('one.fi.')))
  take('swap first', net.evidence(nameFromText('swap.fi.')))
  take('two unsigned', net.evidence(nameFromText('two.fi.')))
  take('three signed', net.evidence(nameFromText('three.se.')))
  take('keys of fi', net.chain(fi.name))
  take('keys of se', net.chain(se.name))
  for (const owner of many()) take(`${nameToText(owner)} alone`, se.zone.dsOrDenial(owner))
  made.set('n001.se. as a message', [toBase64(reply(se.zone.dsOrDenial(nameFromText('n001.se.'))))])

  net.clock.set(SECOND)
  delegate(nameFromText('one.fi.'), 0)
  delegate(nameFromText('swap.fi.'), 2)
  delegate(nameFromText('three.se.'), 0)
  take('one unsigned', net.evidence(nameFromText('one.fi.')))
  take('swap second', net.evidence(nameFromText('swap.fi.')))
  take('three unsigned', net.evidence(nameFromText('three.se.')))
  takeUnacceptable(take)
  return made
}

/** A reply with an answer and nothing else (RFC 1035 section 4.1.1). */
function reply(answer: readonly RR[]): Uint8Array {
  const writer = new ByteWriter().u16(0).u16(0x8400).u16(0).u16(answer.length).u16(0).u16(0)
  for (const record of answer) writer.bytes(encodeRecord(record))
  return writer.finish()
}

/** Evidence that is refused, by the reason. */
function takeUnacceptable(take: (title: string, records: readonly RR[]) => void): void {
  const bad = nameFromText('bad.fi.')
  delegate(bad, 1)
  take(
    'unproven',
    fi.zone.dsOrDenial(bad).filter(({ type }) => type === TYPE.DS),
  )
  fi.makeOdd(bad, TYPE.DS, 'bad')
  take('bogus', net.evidence(bad))
  fi.makeOdd(bad, TYPE.DS, undefined)

  const huge = nameFromText('huge.fi.')
  fi.delegate(
    huge,
    [1, 2, 3].map((tag) => Uint8Array.of(0, tag, 13, 99, ...new Uint8Array(30_000))),
  )
  take('too-large', net.evidence(huge))
  fi.undelegate(huge)

  const company = net.addZone('company.fi.')
  const alien = nameFromText('alien.company.fi.')
  delegate(alien, 1)
  take('zone-not-admitted', net.evidence(alien))
  fi.undelegate(company.name)

  net.addZone('no.', { denial: { nsec3: { iterations: 1000 } } })
  delegate(nameFromText('bad.no.'), 0)
  take('unsupported', net.evidence(nameFromText('bad.no.')))

  net.clock.set(SECOND + 3 * DAY)
  fi.sign()
  take('not-yet-valid', net.evidence(bad))
  net.clock.set(SECOND)
}

function many(): Name[] {
  return Array.from({ length: MANY }, (_, i) => nameFromText(`n${String(i).padStart(3, '0')}.se.`))
}

/** A service that can be started. */
interface Service {
  readonly components: ConstructorParameters<typeof Lifecycle>[0]
  readonly port: () => number
}

/** What runs, and the values that stories may use. */
export class World {
  readonly #evidence = makeEvidence()
  /** By URL, in the order in which they were started. */
  readonly #running = new Map<string, Lifecycle>()
  readonly #places: Places
  readonly #clock = goingOn(() => SECOND)
  readonly #urls = new Map<string, Promise<string>>()

  private constructor(places: Places) {
    this.#places = places
  }

  static async open(): Promise<World> {
    return new World(await Places.open(['embedded']))
  }

  /** Where a service of a story is. */
  url(service: string): Promise<string> {
    const make = { new: this.#log, filled: this.#filled, monitor: this.#monitor }[service]
    if (make === undefined) throw new Error(`there is no service ${service}`)
    if (service === 'new') return make.call(this)
    const made = this.#urls.get(service) ?? make.call(this)
    this.#urls.set(service, made)
    return made
  }

  /** Values of the world. */
  readonly value = (name: string): string | number | undefined => {
    const evidence = this.#evidence.get(name)
    if (evidence !== undefined) return JSON.stringify(evidence)
    switch (name) {
      case 'token':
        return TOKEN
      case 'vkey':
        return formatVkey(keyOf())
      case 'long ago':
        return LONG_AGO
      case '8 MiB and more':
        return 'a'.repeat(8 * 1024 * 1024 + 1)
      case 'a thousand and one':
        return JSON.stringify(Array.from({ length: 1001 }, () => ({ owner: 'one.fi.' })))
      default:
        return undefined
    }
  }

  /** Stops what only one story was told to. */
  async leave(url: string): Promise<void> {
    for (const shared of this.#urls.values()) if ((await shared) === url) return
    await this.#running.get(url)?.stop()
    this.#running.delete(url)
  }

  async close(): Promise<void> {
    for (const lifecycle of [...this.#running.values()].toReversed()) await lifecycle.stop()
    await this.#places.close()
  }

  /** What all services have alike: overload is not in their stories, and others may keep the machine busy. */
  get #options() {
    return { logger: silent, clock: this.#clock, pressure: false } as const
  }

  async #log(): Promise<string> {
    const place = await this.#places.make('embedded', net.anchors)
    const config = configOf(place, {
      DSLOG_LOG_PORT: '0',
      DSLOG_LOG_PUBLISH_INTERVAL: '10ms',
      DSLOG_OPERATOR_TOKEN: TOKEN,
    })
    const log = logService({ ...this.#options, config, create: true })
    return this.#start(log)
  }

  async #filled(): Promise<string> {
    const url = await this.#log()
    const submit = async (...observations: object[]): Promise<void> => {
      const answer = await fetch(`${url}/v1/observations`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${TOKEN}` },
        body: JSON.stringify({ observations }),
      })
      const text = await answer.text()
      if (!answer.ok) throw new Error(`not taken: ${answer.status} ${text}`)
      const { results } = JSON.parse(text) as { results: SubmitResult[] }
      if (results.some(({ status }) => status !== 'logged')) {
        throw new Error(`not logged: ${JSON.stringify(results.slice(0, 3))}`)
      }
    }
    const records = (title: string): readonly string[] => this.#evidence.get(title)!
    await submit(
      { owner: 'one.fi.', records: records('one signed') },
      { owner: 'swap.fi.', records: records('swap first') },
    )
    await submit(
      { owner: 'swap.fi.', records: records('swap second') },
      { owner: 'one.fi.', records: records('one unsigned') },
    )
    const observed_at = LONG_AGO
    await submit({ owner: 'old.fi.', records: records('old'), observed_at, historical: true })
    await submit({ owner: 'se.', kind: 'keys', records: records('keys of se') })
    await submit({ owner: 'three.se.', records: records('three signed') })
    await submit({ owner: 'three.se.', records: records('three unsigned') })
    await submit(
      ...many().map((owner) => ({
        owner: nameToText(owner),
        records: records(`${nameToText(owner)} alone`),
      })),
    )
    return url
  }

  async #monitor(): Promise<string> {
    const log = await this.url('filled')
    const place = await this.#places.make('embedded', net.anchors, 'monitor')
    await writeFile(join(place.data, 'policy'), policyText([formatVkey(keyOf(ORIGIN))], log))
    const env = { ...place.env, DSLOG_MONITOR_PORT: '0', DSLOG_MONITOR_INTERVAL: '100ms' }
    const config = readConfig({ monitor: MONITOR_CONFIG }, env).monitor
    const monitor = monitorService({ ...this.#options, config })
    const url = await this.#start(monitor)
    for (;;) {
      const status = (await (await fetch(`${url}/v1/status`)).json()) as MonitorStatus
      if (status.logs[0]?.state === 'following') return url
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  }

  async #start({ components, port }: Service): Promise<string> {
    const lifecycle = new Lifecycle(components, silent)
    await lifecycle.start()
    const url = `http://127.0.0.1:${port()}`
    this.#running.set(url, lifecycle)
    return url
  }
}
