/** Zones of a registry of our own, through every command: imports, histories, proofs. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { MINUTE } from '@dslog/schema/time'
import { type Called, dslog, type Event, expectFollowed, Folders, Up } from './dslog.ts'
import { Registry } from './registry.ts'
import { summaryOf } from './root-zones.ts'

const folders = new Folders()
afterAll(() => folders.remove())

const changesOf = ({ events }: Pick<Called, 'events'>) =>
  events
    .filter(({ event }) => event === 'change')
    .map(({ change, name }) => `${String(change)} ${String(name)}`)

/** What a name went through. */
const lines = (events: readonly Event[]) =>
  events.map(({ ds, present }) => (present === true ? (ds as string[]).length : 0))

/** Labels of a registry, and how many DS records each entry of their histories has. */
const HISTORIES: readonly (readonly [string, readonly number[]])[] = [
  ['stays', [1]],
  ['rolls', [1, 1]],
  ['leaves', [1, 0]],
  ['unsigns', [1, 0, 1]],
  ['unsigned', []],
  ['never-there', []],
]

/** Zones that deny in each of the three ways. */
const ZONES = {
  nsec: { denial: 'nsec' },
  nsec3: { denial: { nsec3: {} } },
  optout: { denial: { nsec3: { optOut: true } } },
} as const

describe('registries', () => {
  let registry: Registry
  let data: string
  const files: string[] = []
  let imported: Called
  let service: Up
  const here = (...args: string[]) => [...args, '--data', data, '--anchors', registry.anchors]

  beforeAll(async () => {
    registry = new Registry(folders.make(), { zones: ZONES })
    data = folders.make()
    const day = (states: Readonly<Record<string, number | undefined>>) => {
      for (const zone of Object.keys(ZONES)) {
        for (const [label, state] of Object.entries(states)) registry.set(label, state, zone)
        files.push(registry.zoneFile(zone))
      }
      registry.sleep()
    }
    files.push(registry.rootFile())
    day({ stays: 1, rolls: 1, leaves: 1, unsigns: 1, unsigned: 0 })
    day({ rolls: 2, leaves: undefined, unsigns: 0, comes: 1 })
    day({ unsigns: 2 })
    // A gzip file is known by its content.
    files.push(registry.write('packed', gzipSync(readFileSync(files.pop()!))))
    imported = await dslog(here('import', '--json', ...files))
    service = await Up.start(data, ['--anchors', registry.anchors])
  })
  afterAll(() => service.kill())

  it('are imported: every change, nothing else', () => {
    expect(imported).toMatchObject({ code: 0, stderr: '' })
    const zones = Object.keys(ZONES)
    const eachZone = (...changes: string[]) =>
      zones.flatMap((zone) => changes.map((change) => `${change}.${zone}.`))
    expect(changesOf(imported)).toEqual([
      ...zones.map((zone) => `added ${zone}.`),
      ...eachZone('added leaves', 'added rolls', 'added stays', 'added unsigns'),
      ...eachZone('added comes', 'removed leaves', 'replaced rolls', 'removed unsigns'),
      ...eachZone('added unsigns'),
    ])
    expect(summaryOf(imported.events)).toMatchObject({ files: 10, changes: 30, unverifiable: 0 })
  })

  it('are imported once', async () => {
    const again = await dslog(here('import', '--json', ...files))
    expect(again.code).toBe(0)
    expect(again.events).toEqual([
      expect.objectContaining({ event: 'summary', entries: 0, changes: 0 }),
    ])
  })

  it.each([
    ...HISTORIES.map(([label, sizes]) => [`${label}.nsec.`, sizes] as const),
    ['leaves.nsec3.', [1, 0]],
    ['unsigns.nsec3.', [1, 0, 1]],
    ['leaves.optout.', [1, 0]],
    ['unsigns.optout.', [1, 0, 1]],
  ] as const)('have a history of %s, which can be carried away', async (name, sizes) => {
    const history = await dslog(here('history', '--json', name))
    expect(history).toMatchObject({ code: 0, stderr: '' })
    const complete = history.events.at(-1)!
    const entries = history.events.slice(0, -1)
    expect(complete).toMatchObject({ event: 'complete', name, entries: sizes.length })
    expect(complete['size']).toBe(summaryOf(imported.events)['size'])
    expect(lines(entries)).toEqual(sizes)
    for (const entry of entries) {
      expect(entry).toMatchObject({ name, out_of_order: false, historical: true })
      expect(name.endsWith(`.${String(entry['zone'])}`)).toBe(true)
      // Signed an hour before the zone was made, checked an hour after.
      expect(Number(entry['time']) / 1000 - Number(entry['inception'])).toBe(7200)
    }

    const file = folders.file(`${name}tlog-proof`)
    const proven = await dslog(here('prove', name, '-o', file))
    expect(proven).toMatchObject({ code: 0, stderr: '' })
    // Somewhere else, with nothing but the file, the policy and the anchors.
    const policy = join(data, 'policy')
    const elsewhere = ['--json', '--data', folders.make(), '--policy', policy]
    const verified = await dslog(['verify', file, ...elsewhere, '--anchors', registry.anchors])
    expect(verified).toMatchObject({ code: 0, stderr: '' })
    expect(verified.events).toEqual([
      {
        kind: 'name',
        name,
        of: 'delegation',
        entries,
        map_root: complete['map_root'],
        checkpoint: complete['checkpoint'],
        witnesses: [],
      },
    ])
  })

  it('are proven to those alone who trust the log and the root', async () => {
    const file = folders.file('proof')
    await dslog(here('prove', 'stays.nsec', '-o', file))
    const piped = await dslog(here('verify', '--json', '-'), { input: readFileSync(file) })
    expect(piped).toMatchObject({ code: 0, events: [{ kind: 'name', name: 'stays.nsec.' }] })
    const cut = await dslog(here('verify', '-'), { input: readFileSync(file).subarray(0, -9) })
    expect(cut).toMatchObject({ code: 1, stdout: '' })
    expect(cut.stderr).toMatch(/^dslog: standard input: cut off, or changed on its way: [^\n]+\n$/)
    const { events } = await dslog(['keygen', '--json', '-o', folders.file('key')])
    const policy = folders.file('policy')
    writeFileSync(policy, String(events[0]!['policy']))
    for (const called of [
      await dslog(here('verify', file, '--policy', policy)),
      await dslog(['verify', file, '--data', data]),
    ]) {
      expect(called).toMatchObject({ code: 1, stdout: '' })
      expect(called.stderr).toMatch(/^dslog: [^\n]+\n$/)
    }
  })

  it('have entries that can each be proven', async () => {
    const size = Number(summaryOf(imported.events)['size'])
    for (const [index, type] of [
      [0, 'map-head'],
      [1, 'zone-keys'],
      [2, 'ds'],
      [size - 1, 'map-head'],
    ] as const) {
      const proof = await dslog(here('prove', String(index), '-o', '-'))
      expect(proof.code).toBe(0)
      const verified = await dslog(here('verify', '--json', '-'), { input: proof.bytes })
      expect(verified).toMatchObject({ code: 0, stderr: '' })
      expect(verified.events).toMatchObject([{ kind: 'entry', index, entries: [{ index, type }] }])
    }
    const beyond = await dslog(here('prove', String(size), '-o', '-'))
    expect(beyond).toMatchObject({ code: 2, stdout: '' })
    expect(beyond.stderr).toContain(`there is no entry ${size}: the log has ${size}`)
  })

  it('are told to people in words', async () => {
    const absent = { nsec: 'nsec match', nsec3: 'nsec3 match', optout: 'nsec3 opt out' }
    for (const [zone, proof] of Object.entries(absent)) {
      const { stdout } = await dslog(here('history', `unsigns.${zone}`))
      expect(stdout).toContain(`unsigns.${zone}. no DS, proven absent (${proof})`)
      expect(stdout).toMatch(/\nThese are all entries about unsigns\.\w+\., proven in the tree of/)
    }
    const nothing = await dslog(here('history', 'never-there.nsec'))
    expect(nothing.stdout).toMatch(/^Nothing was ever logged about never-there\.nsec\., proven in /)
  })

  it('are found good by audit, monitor and fsck, and told of from the folder, too', async () => {
    expect(await dslog(here('audit'))).toMatchObject({ code: 0, stderr: '' })
    await expectFollowed(service, Number(summaryOf(imported.events)['size']))
    const running = await dslog(here('history', '--json', 'unsigns.nsec'))
    expect(await service.stop()).toEqual({ code: 0, stderr: '' })
    expect(await dslog(here('fsck'))).toMatchObject({ code: 0, stderr: '' })
    expect(await dslog(here('history', '--json', 'unsigns.nsec'))).toEqual(running)
  })
})

describe('a zone of the present', () => {
  it('is logged live, without the token of an operator', async () => {
    const registry = new Registry(folders.make(), { start: Date.now() })
    const data = folders.make()
    registry.set('stays', 1)
    const service = await Up.start(data, ['--anchors', registry.anchors])
    const policy = join(data, 'policy')
    const there = ['--log', service.log, '--policy', policy, '--anchors', registry.anchors]
    const imported = await dslog([
      'import',
      '--json',
      ...there,
      registry.rootFile(),
      registry.zoneFile(),
    ])
    expect(imported).toMatchObject({ code: 0, stderr: '' })
    expect(changesOf(imported)).toEqual(['added test.', 'added stays.test.'])
    const { events } = await dslog(['history', '--json', 'stays.test', ...there])
    expect(events[0]).toMatchObject({ historical: false, name: 'stays.test.' })
    expect(Math.abs(Number(events[0]!['time']) - Date.now())).toBeLessThan(120_000)
    await expectFollowed(service, Number(events[1]!['size']))

    // The past is another matter.
    const at = new Date(Date.now() - MINUTE).toISOString()
    const past = await dslog(['import', '--at', at, ...there, registry.rootFile()])
    expect(past).toMatchObject({ code: 3, stdout: '' })
    expect(past.stderr).toContain("the operator's token")
    expect(await service.stop()).toEqual({ code: 0, stderr: '' })
  })
})
