/** A log that publishes only what its witnesses have cosigned, and witnesses of all kinds. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { formatPolicy, checkPolicy, parsePolicy } from '@dslog/tlog/policy'
import { HttpClient } from '@dslog/tlog/http'
import { formatVkey, KEY_TYPE } from '@dslog/tlog/key'
import { parseNote } from '@dslog/tlog/note'
import { tileWidth } from '@dslog/tlog/tile'
import { type Name, nameFromText } from '@dslog/dnssec/name'
import { HOUR } from '@dslog/schema/time'
import { Internet } from '@dslog/testbed/internet'
import { ownerDs } from '@dslog/testbed/stories'
import { FakeWitness, oldSizes } from '../../../test/fakewitness.ts'
import { keyOf, Places } from '../../../test/place.ts'
import { silent } from '../../../test/silent.ts'
import { configOf, observe, openPlace, TestLog } from '../../../test/testlog.ts'
import { atTestPoint } from '../../../test/testpoint.ts'
import type { LogOptions } from '../src/log.ts'
import { arePublic, policyText, readWitnessPolicy } from '../src/policy.ts'
import { REFRESH_MS, Sequencer } from '../src/sequencer.ts'
import { Witnesses } from '../src/witness.ts'
import { witnessesOf } from '../src/witness-setup.ts'
import { emptied } from './emptied.ts'

const places = await Places.open(['embedded'])
const net = new Internet()
const fi = net.addZone('fi.')
const { now } = net.clock

let options: LogOptions
let fakes: FakeWitness[]
let open: TestLog | undefined
let witnesses: Witnesses
let generation = 0

beforeAll(async () => {
  options = await openPlace(await places.make('embedded', net.anchors), now)
})
afterAll(async () => {
  await options.db.close()
  await places.close()
})
beforeEach(async () => {
  options = await emptied(options)
  fakes = ['a', 'b', 'c'].map((name) => new FakeWitness(name, now))
})
afterEach(async () => {
  witnesses.stop()
  await open?.log.close()
  open = undefined
})

/** tlog-policy lines of the fakes, and how many of them it takes. */
function linesOf(quorum: number, list = fakes): string {
  const names = list.map((_, i) => `w${i}`)
  const lines = list.map((fake, i) => `witness w${i} ${fake.vkey} http://127.0.0.1/${i}/`)
  return `${lines.join('\n')}\ngroup g ${quorum} ${names.join(' ')}\nquorum g\n`
}

function asking(policy: string, list = fakes): Witnesses {
  const fetch = async (url: string, init: RequestInit): Promise<Response> => {
    const at = Number(/\/(\d)\/add-checkpoint$/.exec(url)![1])
    return list[at]!.answer(init)
  }
  const http = new HttpClient({ fetch, now, random: () => 0 })
  return new Witnesses(parsePolicy(policy), { http, clock: now, logger: silent })
}

/** The log of these witnesses, opened as the service does it. */
async function start(policy = linesOf(2)): Promise<TestLog> {
  await open?.log.close()
  witnesses = asking(policy)
  open = await TestLog.over({ ...options, witnesses }, { clock: now })
  return open
}

/** A log that has published its first tree. */
async function started(policy?: string): Promise<TestLog> {
  const log = await start(policy)
  await log.log.refresh()
  return log
}

/** One more tree. */
async function grow(log: TestLog): Promise<void> {
  const owner: Name = nameFromText(`name${++generation}.fi.`)
  net.clock.advance(HOUR)
  fi.delegate(owner, [ownerDs(owner, generation)])
  const [result] = await log.submit(observe(net, owner))
  expect(result?.status).toBe('logged')
}

/** Names of the witnesses on the published note, under the policy that the log hands out. */
function cosigners(log: TestLog, policy = linesOf(2)): string[] {
  const text = policyText([formatVkey(keyOf())], undefined, parsePolicy(policy))
  const trusted = checkPolicy(parsePolicy(text), log.log.published.note, { now: now() })
  expect(trusted.checkpoint.size).toBe(log.log.published.size)
  return trusted.witnesses.map(({ name }) => name)
}

/** The checkpoint in a request to a witness. */
function noteOf(body: string): string {
  return body.slice(body.indexOf('\n\n') + 2)
}

function held(): { instead: FakeWitness['instead']; release: () => void } {
  let release = (): void => {}
  const gate = new Promise<void>((resolve) => (release = resolve))
  return { instead: () => gate.then(() => undefined as never), release }
}

describe('a tree', () => {
  test('is published with the cosignatures of a quorum, and shows no sooner', async () => {
    const log = await start()
    expect(log.log.isPublished).toBe(false)
    expect(() => log.log.published).toThrow(expect.objectContaining({ problem: 'unavailable' }))
    await log.log.refresh()
    expect(cosigners(log).length).toBeGreaterThanOrEqual(2)
    for (let i = 0; i < 3; i++) await grow(log)
    expect(cosigners(log).length).toBeGreaterThanOrEqual(2)
    // Each is asked from what it has, without a word of correction.
    expect(oldSizes(fakes[0]!)).toEqual([0, 1, ...oldSizes(fakes[0]!).slice(2)])
  })

  test('does not wait for who is slow, and shows the late line with the next look', async () => {
    const log = await started()
    const gate = held()
    fakes[2]!.instead = gate.instead
    await grow(log)
    expect(cosigners(log)).toEqual(['w0', 'w1'])
    const { publishedAt } = log.log.published
    gate.release()
    await expect
      .poll(async () => {
        await log.log.shown.addLate()
        return cosigners(log)
      })
      .toEqual(['w0', 'w1', 'w2'])
    expect(log.log.published.publishedAt).toBe(publishedAt)
    await log.log.shown.addLate()
  })

  test('leaves nothing behind that would add up', async () => {
    const warnings: string[] = []
    const onWarning = ({ name }: Error): void => void warnings.push(name)
    process.on('warning', onWarning)
    const log = await started()
    for (let i = 0; i < 12; i++) await grow(log)
    process.off('warning', onWarning)
    expect(warnings).toEqual([])
  })

  test('goes to a slow witness one at a time, the newest next', async () => {
    const log = await started()
    const gate = held()
    fakes[2]!.instead = gate.instead
    const before = fakes[2]!.asked.length
    for (let i = 0; i < 4; i++) await grow(log)
    expect(fakes[2]!.asked).toHaveLength(before + 1)
    fakes[2]!.instead = undefined
    gate.release()
    await expect.poll(() => fakes[2]!.latest?.size).toBe(log.log.size)
    expect(fakes[2]!.asked.length).toBeLessThanOrEqual(before + 2)
    expect(fakes.map(({ most }) => most)).toEqual([1, 1, 1])
  })

  test('is not published without its quorum; its tiles can be read by who audits it', async () => {
    const log = await started()
    const { size } = log.log.published
    for (const fake of fakes.slice(1)) fake.instead = () => new Response('', { status: 500 })
    const growing = grow(log)
    await expect.poll(() => log.log.shown.waiting).toBeGreaterThan(0)
    expect(log.log.published.size).toBe(size)
    expect(log.log.shown.readable).toBe(log.log.size)
    const width = tileWidth(log.log.size, 0, 0)
    expect((await log.reader.tile(0, 0, width))?.data).toHaveLength(width * 32)
    expect(await log.reader.bundle(0, width)).toBeDefined()
    expect(await log.reader.tile(0, 0, width + 1)).toBeUndefined()
    fakes[1]!.instead = undefined
    await growing
    expect(log.log.shown.waiting).toBe(0)
    expect(cosigners(log)).toEqual(['w0', 'w1'])
  })

  test('is asked for again from where a witness is', async () => {
    const log = await started()
    await grow(log)
    await grow(log)
    // Set back, as from a backup of its own; and one that is new.
    fakes[0]!.latest = undefined
    fakes[1]!.instead = () => new Response('', { status: 503 })
    await grow(log)
    expect(cosigners(log)).toEqual(['w0', 'w2'])
    expect(oldSizes(fakes[0]!).slice(-2)).toEqual([log.log.size - 2, 0])
  })

  test.each<[string, (fake: FakeWitness, body: string) => Response]>([
    [
      'another tree',
      (fake, body) => new Response(fake.line(noteOf(body).replace(/\n(\d+)\n/, '\n9$1\n'))),
    ],
    ['no line', () => new Response('')],
    ['nonsense', () => new Response('{"ok":true}')],
    ['far too much', () => new Response('x'.repeat(200_000))],
    ['a 409 without a size', () => new Response('', { status: 409 })],
    [
      'a size that changes with each question',
      (_, body) =>
        new Response(body.startsWith('old 0\n') ? '1\n' : '0\n', {
          status: 409,
          headers: { 'content-type': 'text/x.tlog.size' },
        }),
    ],
    [
      'a size beyond the tree',
      () =>
        new Response('9007199254740991\n', {
          status: 409,
          headers: { 'content-type': 'text/x.tlog.size' },
        }),
    ],
    [
      'a line from a clock that is far ahead',
      (fake, body) => {
        fake.ahead = 3_600
        return fake.cosign(body)
      },
    ],
  ])('does without a witness that answers with %s', async (_, instead) => {
    const log = await started()
    await grow(log)
    const [fake] = fakes as [FakeWitness]
    fake.instead = (body) => instead(fake, body)
    await grow(log)
    expect(cosigners(log)).toEqual(['w1', 'w2'])
    await expect.poll(() => witnesses.states[0]!.failures).toBeGreaterThan(0)
    expect(witnesses.states[1]).toMatchObject({ name: 'w1', failures: 0, size: log.log.size })
  })

  test('waits as long as a busy witness asks, also with a tree that comes meanwhile', async () => {
    const log = await started()
    const [fake] = fakes as [FakeWitness]
    const askedAt: number[] = []
    fake.instead = (body) => {
      askedAt.push(performance.now())
      if (askedAt.length > 1) return fake.cosign(body)
      return new Response('', { status: 429, headers: { 'retry-after': '1' } })
    }
    await grow(log)
    await expect.poll(() => askedAt.length).toBeGreaterThan(0)
    await grow(log)
    await expect.poll(() => fake.latest?.size).toBe(log.log.size)
    expect(askedAt[1]! - askedAt[0]!).toBeGreaterThanOrEqual(1_000)
  })

  test('is cosigned by keys of both types, also at one URL', async () => {
    const [both, other] = [new FakeWitness('a', now), new FakeWitness('p', now, KEY_TYPE.mldsa44)]
    const auditor = new FakeWitness('x', now, KEY_TYPE.mldsa44)
    let isVerified = false
    // The auditor behind the first URL answers later than the witness there.
    both.instead = (body) => {
      const answer = both.cosign(body)
      if (!answer.ok || !isVerified) return answer
      return answer.text().then((line) => new Response(line + auditor.line(noteOf(body))))
    }
    const policy =
      `witness w ${both.vkey} http://127.0.0.1/0\nwitness x ${auditor.vkey} http://127.0.0.1/0\n` +
      `witness p ${other.vkey} http://127.0.0.1/1\ngroup g all w p\ngroup all any g\nquorum all\n`
    witnesses = asking(policy, [both, other])
    open = await TestLog.over({ ...options, witnesses }, { clock: now })
    await open.log.refresh()
    expect(cosigners(open, policy)).toEqual(['w', 'p'])
    isVerified = true
    await expect
      .poll(async () => {
        await open!.log.shown.addLate()
        return cosigners(open!, policy)
      })
      .toEqual(['w', 'x', 'p'])
  })
})

describe('a restart', () => {
  test('shows what was published, and goes on from what the witnesses have', async () => {
    const log = await started()
    await grow(log)
    const { note, size } = log.log.published
    const asked = fakes.map((fake) => fake.asked.length)
    const again = await start()
    expect(again.log.published).toMatchObject({ note, size })
    expect(again.log.isUnfinished).toBe(true)
    await again.log.refresh()
    expect(again.log.isUnfinished).toBe(false)
    expect(oldSizes(fakes[0]!)[asked[0]!]).toBe(size)
    await grow(again)
    expect(again.reader.tree.size).toBeGreaterThan(size)
  })

  test.each(['log.recorded', 'log.signed', 'log.cosigned'])(
    'after a crash at %s finishes the tree with the same witnesses',
    async (point) => {
      const log = await started()
      await grow(log)
      const { note } = log.log.published
      const stop = atTestPoint((name) => {
        if (name === point) throw new Error('killed here')
      })
      await expect(grow(log)).rejects.toThrow('killed here')
      stop()
      const again = await start()
      // The tree on its way is not shown, though some have cosigned it.
      expect(again.log.published.note).toBe(note)
      const answer = await again.reader.name(1, nameFromText(`name${generation - 1}.fi.`))
      expect(answer.history).toHaveLength(1)
      await again.log.refresh()
      expect(again.log.published.size).toBe(again.log.size)
      expect(cosigners(again).length).toBeGreaterThanOrEqual(2)
    },
  )

  test('under another policy shows only what satisfies that', async () => {
    const log = await started()
    await grow(log)
    const stranger = [new FakeWitness('s', now)]
    witnesses = asking(linesOf(1, stranger), stranger)
    await log.log.close()
    open = await TestLog.over({ ...options, witnesses }, { clock: now })
    expect(open.log.isPublished).toBe(false)
    await open.log.refresh()
    expect(cosigners(open, linesOf(1, stranger))).toEqual(['w0'])
  })
})

describe('the sequencer', () => {
  async function sequencing(log: TestLog) {
    const failures: unknown[] = []
    const sequencer = new Sequencer(log.log, { interval: 5, clock: now })
    sequencer.start((error) => failures.push(error))
    return { sequencer, failures }
  }

  test('finishes the first tree, and keeps timestamps fresh when nothing happens', async () => {
    const log = await start()
    const { failures, sequencer } = await sequencing(log)
    await expect.poll(() => log.log.isPublished).toBe(true)
    await expect.poll(() => cosigners(log)).toEqual(['w0', 'w1', 'w2'])
    const { note } = log.log.published
    net.clock.advance(REFRESH_MS)
    await expect.poll(() => log.log.published.publishedAt).toBe(now())
    const fresh = () =>
      checkPolicy(
        parsePolicy(policyText([formatVkey(keyOf())], undefined, parsePolicy(linesOf(2)))),
        log.log.published.note,
      ).witnesses.map(({ timestamp }) => timestamp)
    const seconds = Math.floor(now() / 1000)
    await expect.poll(fresh).toEqual([seconds, seconds, seconds])
    expect(parseNote(log.log.published.note).text).toBe(parseNote(note).text)
    await sequencer.stop()
    expect(failures).toEqual([])
  })

  test('stops though the witnesses do not come; what was accepted is finished after the start', async () => {
    await started()
    await open!.log.close()
    witnesses = asking(linesOf(2))
    const failures: unknown[] = []
    let sequencer: Sequencer
    open = await TestLog.over(
      { ...options, witnesses },
      {
        clock: now,
        sink: (log) => (sequencer = new Sequencer(log, { interval: 5, clock: now })),
      },
    )
    sequencer!.start((error) => failures.push(error))
    await expect.poll(() => open!.log.isUnfinished).toBe(false)
    const { log } = open
    const { size } = log.published
    for (const fake of fakes) fake.instead = () => new Response('', { status: 500 })
    const owner = nameFromText('stopped.fi.')
    fi.delegate(owner, [ownerDs(owner)])
    const submitted = open.submit(observe(net, owner)).catch((error: unknown) => error)
    await expect.poll(() => log.shown.waiting).toBeGreaterThan(0)
    const stopping = sequencer!.stop()
    log.giveUpWaiting()
    await stopping
    // Nobody was promised anything: handing it in again does no harm.
    expect(await submitted).toMatchObject({ problem: 'unavailable' })
    // The process that is stopping is told, and does not listen any more.
    expect(failures).toEqual([expect.objectContaining({ code: 'unwitnessed' })])
    for (const fake of fakes) fake.instead = undefined
    const again = await start()
    await again.log.refresh()
    expect(again.log.published.size).toBeGreaterThan(size)
  })
})

describe('configuration', () => {
  test('the policy handed out has the witnesses and their quorum', () => {
    witnesses = asking(linesOf(2))
    const vkey = formatVkey(keyOf())
    const text = policyText([vkey], 'https://log.example', witnesses.policy)
    expect(text).toBe(
      new TextDecoder().decode(
        formatPolicy(parsePolicy(`log ${vkey} https://log.example\n${linesOf(2)}`)),
      ),
    )
    expect(policyText([vkey], undefined)).toBe(`log ${vkey}\nquorum none\n`)
  })

  test('is refused where it could never be met', async () => {
    witnesses = asking(linesOf(2))
    const lines = fakes.map((fake, i) => `witness w${i} ${fake.vkey}${i === 0 ? ' http://x' : ''}`)
    const policy = `${lines.join('\n')}\ngroup g 2 w0 w1 w2\nquorum g\n`
    expect(() => asking(policy)).toThrow(expect.objectContaining({ code: 'witnesses' }))
    const place = await places.make('embedded', net.anchors)
    const path = join(place.data, 'witnesses')
    for (const text of [
      'nonsense\n',
      `witness w ${fakes[0]!.vkey} ftp://w.example\nquorum w\n`,
      `witness w ${fakes[0]!.vkey} w.example\nquorum w\n`,
    ]) {
      await writeFile(path, text)
      await expect(readWitnessPolicy(path)).rejects.toMatchObject({ code: 'witnesses' })
    }
    await expect(readWitnessPolicy(`${path}x`)).rejects.toMatchObject({ code: 'witnesses' })
  })

  test('witnesses of other machines are not asked from the embedded database, unless told to', async () => {
    witnesses = asking(linesOf(2))
    const place = await places.make('embedded', net.anchors)
    const path = join(place.data, 'witnesses')
    const at = async (url: string, env: Record<string, string> = {}, isEmbedded = true) => {
      await writeFile(path, `witness w ${fakes[0]!.vkey} ${url}\nquorum w\n`)
      const config = configOf(place, { DSLOG_LOG_WITNESS_POLICY: path, ...env })
      const found = await witnessesOf(config, { clock: now, isEmbedded, logger: silent })
      return found && arePublic(found.policy)
    }
    for (const url of [
      'http://127.0.0.1:1/x',
      'http://localhost',
      'http://[::1]:80',
      'http://127.9.9.9',
    ]) {
      expect(await at(url)).toBe(false)
    }
    for (const url of [
      'https://w.example',
      'http://localhost.example',
      'http://10.0.0.1',
      'http://127.0.0.1.example',
    ]) {
      await expect(at(url), url).rejects.toMatchObject({ code: 'witnesses' })
      expect(await at(url, { DSLOG_LOG_WITNESS_EMBEDDED: 'true' })).toBe(true)
      expect(await at(url, {}, false)).toBe(true)
    }
    expect(
      await witnessesOf(configOf(place), { clock: now, isEmbedded: true, logger: silent }),
    ).toBe(undefined)
  })
})
