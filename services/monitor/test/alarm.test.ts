/** Silence is a failure: what the operator hears, what owners hear, once each, and when it is over. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { hashFromBase64 } from '@dslog/tlog/hash'
import { nameFromText } from '@dslog/dnssec/name'
import { DAY, HOUR, MINUTE } from '@dslog/schema/time'
import { TestClock } from '@dslog/testbed/clock'
import { silent } from '../../../test/silent.ts'
import { Alarms } from '../src/alarm.ts'
import { OPERATOR } from '../src/operator.ts'
import type { FollowStatus } from '../src/standing.ts'
import type { AskedWitness } from '../src/compare.ts'
import { addOwners } from './owners.ts'
import { type Place, quickPlace } from './world.ts'

let home: Place
let clock: TestClock
let status: FollowStatus
let pings: number
let witnesses: readonly AskedWitness[]
let alarms: Alarms

beforeAll(async () => {
  home = await quickPlace()
})
beforeEach(async () => {
  clock = new TestClock()
  const root = hashFromBase64('A'.repeat(43) + '=')
  status = {
    state: 'following',
    detail: undefined,
    size: 10,
    root,
    published: 10,
    backlog: 0,
    freshAt: clock.now(),
    verifiedAt: clock.now(),
    mapRoot: root,
    mapKeys: 1,
    mapTime: clock.now(),
    findings: new Map(),
  }
  pings = 0
  witnesses = []
  alarms = make()
  await addOwners(home.db, [
    { id: OPERATOR, name: '.', kind: 'stdout', target: '' },
    { id: 'one', name: 'one.fi.' },
    { id: 'two', name: 'two.fi.', active: false },
  ])
})
afterEach(() => home.empty())
afterAll(() => home.close())

/** Time passes, in which the log is well; then the alarms are looked at. */
async function look(ms: number): Promise<void> {
  status = { ...status, verifiedAt: clock.advance(ms) }
  await alarms.round()
}

function make(canary?: string): Alarms {
  return new Alarms({
    db: home.db,
    clock: clock.now,
    logger: silent,
    logs: [{ origin: 'log.example/ds', status: () => status, witnesses: () => witnesses }],
    canary: canary === undefined ? undefined : nameFromText(canary),
    ping: async () => void pings++,
  })
}

const of = async (id: string): Promise<string[]> => {
  const rows = await home.db.kysely
    .selectFrom('alert')
    .select(['rule', 'level', 'resolved_at'])
    .where('subscription', '=', id)
    .orderBy('seq')
    .execute()
  return rows.map(
    ({ level, resolved_at: at, rule }) => `${rule} ${level}${at === null ? '' : ' over'}`,
  )
}

describe('a log', () => {
  test('that is followed raises nothing, and the ping goes out', async () => {
    for (let i = 0; i < 3; i++) await look(HOUR)
    expect(await of(OPERATOR)).toEqual([])
    expect(pings).toBe(3)
  })

  test('that is silent for an hour, then a day, then back', async () => {
    status = { ...status, state: 'unreachable', detail: 'no answer' }
    await alarms.round()
    clock.advance(HOUR / 2)
    await alarms.round()
    expect(await of(OPERATOR)).toEqual([])
    clock.advance(HOUR)
    await alarms.round()
    await alarms.round()
    expect(await of(OPERATOR)).toEqual(['log 3'])
    expect(await of('one')).toEqual([])

    clock.advance(DAY)
    await alarms.round()
    await alarms.round()
    expect(await of(OPERATOR)).toEqual(['log 3 over', 'log 4'])
    expect(await of('one')).toEqual(['blind 2'])
    expect(await of('two')).toEqual([])
    const [alert] = await home.db.kysely
      .selectFrom('alert')
      .select('why')
      .where('subscription', '=', 'one')
      .execute()
    expect(alert!.why).toContain('cannot watch one.fi. since 2024-07-01T00:00:00.000Z')
    // Another process goes on with what stands.
    alarms = make()
    await alarms.round()
    expect(await of('one')).toEqual(['blind 2'])

    const before = pings
    status = { ...status, state: 'following', detail: undefined, verifiedAt: clock.now() }
    await alarms.round()
    expect(await of(OPERATOR)).toEqual(['log 3 over', 'log 4 over'])
    expect(await of('one')).toEqual(['blind 2 over'])
    expect(pings).toBe(before + 1)
  })

  test('that was caught, at once, and once', async () => {
    status = {
      ...status,
      state: 'misbehaving',
      detail: 'caught: fork',
      findings: new Map([['fork', 1]]),
    }
    await alarms.round()
    clock.advance(HOUR)
    await alarms.round()
    expect(await of(OPERATOR)).toEqual(['log 4'])
    expect(pings).toBe(0)
  })
})

describe('a log that is ahead of our clock', () => {
  test('is told of by its times, until they are past, and again when it is ahead again', async () => {
    status = { ...status, mapTime: clock.now() + 5 * MINUTE }
    await look(0)
    // As far as the clocks of two machines may be apart.
    expect(await of(OPERATOR)).toEqual([])
    status = { ...status, mapTime: clock.now() + DAY }
    await look(0)
    await look(HOUR)
    expect(await of(OPERATOR)).toEqual(['log 3'])
    const { why } = await home.db.kysely.selectFrom('alert').select('why').executeTakeFirstOrThrow()
    expect(why).toBe(
      'The newest entries of the log log.example/ds are of 2024-07-02T00:00:00.000Z, which is still to come: its clock is wrong, or that of this monitor (2024-07-01T00:00:00.000Z), or it dates entries in advance.',
    )
    // Another process goes on with what stands.
    alarms = make()
    await look(HOUR)
    expect(await of(OPERATOR)).toEqual(['log 3'])
    await look(DAY)
    expect(await of(OPERATOR)).toEqual(['log 3 over'])
    status = { ...status, mapTime: clock.now() + HOUR }
    await look(MINUTE)
    expect(await of(OPERATOR)).toEqual(['log 3 over', 'log 3'])
    expect(await of('one')).toEqual([])
  })
})

describe('a witness', () => {
  const witness = { name: 'w1.example', url: 'https://w1.example', failure: undefined }

  test('that does not answer for an hour is told of by its name, until it does', async () => {
    const well = { ...witness, name: 'w2.example', answeredAt: clock.now() }
    witnesses = [{ ...witness, answeredAt: clock.now(), failure: 'no answer' }, well]
    await look(HOUR)
    expect(await of(OPERATOR)).toEqual([])
    await look(1)
    await look(HOUR)
    expect(await of(OPERATOR)).toEqual(['witness 2'])
    const { why } = await home.db.kysely.selectFrom('alert').select('why').executeTakeFirstOrThrow()
    expect(why).toBe(
      'The witness w1.example (https://w1.example) of the log log.example/ds has not answered since 2024-07-01T00:00:00.000Z: no answer.',
    )
    // Nobody who watches the monitor need come for it.
    expect(pings).toBe(3)
    expect(await of('one')).toEqual([])

    witnesses = [{ ...witness, answeredAt: clock.now() }, well]
    await look(1)
    expect(await of(OPERATOR)).toEqual(['witness 2 over'])
  })

  test('that fails again later is told of again, beside another', async () => {
    witnesses = [{ ...witness, answeredAt: clock.now(), failure: 'no answer' }]
    await look(2 * HOUR)
    witnesses = [{ ...witness, answeredAt: clock.now() }]
    await look(HOUR)
    const failing = { ...witness, answeredAt: clock.now(), failure: 'no answer' }
    witnesses = [failing, { ...failing, name: 'w2.example', url: 'https://w2.example' }]
    await look(2 * HOUR)
    expect(await of(OPERATOR)).toEqual(['witness 2 over', 'witness 2', 'witness 2'])
  })

  test('that was not asked yet, or has nothing to say, is not held to be away', async () => {
    witnesses = [{ ...witness, answeredAt: clock.now() }]
    await look(DAY - 1)
    expect(await of(OPERATOR)).toEqual([])
  })
})

describe('delivery', () => {
  test('that fails for an hour, for all of one kind', async () => {
    await addOwners(home.db, [
      { id: 'mail', name: 'mail.fi.', kind: 'email', target: 'a@b.example' },
    ])
    const failing = { failing_since: clock.now(), last_error: 'connection refused' }
    await home.db.kysely.updateTable('channel').set(failing).where('kind', '=', 'email').execute()
    await look(HOUR / 2)
    expect(await of(OPERATOR)).toEqual([])
    await look(HOUR)
    expect(await of(OPERATOR)).toEqual(['delivery 3'])
    await home.db.kysely
      .updateTable('channel')
      .set({ failing_since: null })
      .where('kind', '=', 'email')
      .execute()
    await alarms.round()
    expect(await of(OPERATOR)).toEqual(['delivery 3 over'])
  })

  test('that works for others of the kind is its owner’s business', async () => {
    const failing = { failing_since: clock.now(), last_error: '500' }
    await home.db.kysely
      .updateTable('channel')
      .set(failing)
      .where('id', '=', 'channel-one')
      .execute()
    await addOwners(home.db, [{ id: 'fine', name: 'fine.fi.' }])
    status = { ...status, verifiedAt: clock.advance(2 * HOUR) }
    const sent = {
      channel: 'channel-fine',
      message: 'm',
      event: 'confirm',
      alert: null,
      data: null,
      state: 'sent',
      created_at: 0,
      sent_at: clock.now(),
    } as const
    await home.db.kysely.insertInto('outbox').values(sent).execute()
    await alarms.round()
    expect(await of(OPERATOR)).toEqual([])
  })
})

describe('a canary', () => {
  test('that did not sing today', async () => {
    alarms = make('canary.fi.')
    const sing = (idx: number) =>
      home.db.kysely
        .insertInto('change')
        .values({
          log: 1,
          idx,
          name: nameFromText('canary.fi.'),
          zone: nameFromText('fi.'),
          time: clock.now(),
          present: true,
          out_of_order: false,
          historical: false,
          ds: Uint8Array.of(0, 0),
        })
        .execute()
    await sing(1)
    await look(25 * HOUR)
    expect(await of(OPERATOR)).toEqual([])
    await look(2 * HOUR)
    expect(await of(OPERATOR)).toEqual(['canary 3'])
    await sing(2)
    await look(HOUR)
    expect(await of(OPERATOR)).toEqual(['canary 3 over'])
  })
})
