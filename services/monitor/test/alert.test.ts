/** Raising, raising in level, resolving: what is stored, and what is put into which channel's outbox. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { atTestPoint } from '../../../test/testpoint.ts'
import { type AlertDraft, alertId, causeOf, raiseAlerts, resolveAlert } from '../src/alert.ts'
import { announcedBy } from '../src/announced.ts'
import { draft, ENTRY } from './draft.ts'
import { addOwners } from './owners.ts'
import { type Place, quickPlace } from './world.ts'

let home: Place
beforeAll(async () => {
  home = await quickPlace()
})
afterEach(() => home.empty())
afterAll(() => home.close())

function raise(...drafts: AlertDraft[]) {
  return home.db.transaction((trx) => raiseAlerts(trx, drafts, 2_000))
}

function resolve(id: string) {
  return home.db.transaction((trx) => resolveAlert(trx, id, 'The old set is back.', 3_000))
}

const alerts = () => home.db.kysely.selectFrom('alert').selectAll().orderBy('seq').execute()
const sent = async (channel: string): Promise<string[]> => {
  const rows = await home.db.kysely
    .selectFrom('outbox')
    .select(['event', 'message', 'state', 'alert'])
    .where('channel', '=', channel)
    .orderBy('id')
    .execute()
  return rows.map((row) => `${row.event} ${row.message.replace(row.alert!, '')} ${row.state}`)
}

describe('raising', () => {
  test('stores the alert, and tells each confirmed channel once', async () => {
    await addOwners(home.db, [{ id: 'one', name: 'example.fi.' }])
    const id = alertId('one', 'R6', causeOf({ entry: ENTRY }))
    expect(await raise(draft())).toEqual([{ id, event: 'raised' }])
    expect(await raise(draft(), draft())).toEqual([
      { id, event: undefined },
      { id, event: undefined },
    ])
    expect(await alerts()).toMatchObject([
      { id, level: 3, revision: 1, idx: 7, indices: '[7]', first_at: 1000, raised_at: 2000 },
    ])
    expect(await sent('channel-one')).toEqual(['raised _1 waiting'])
  })

  test('one of a batch twice', async () => {
    await addOwners(home.db, [{ id: 'one', name: 'example.fi.' }])
    const events = await raise(draft(), draft({ level: 'CRITICAL' }), draft())
    expect(events.map(({ event }) => event)).toEqual(['raised', 'risen', undefined])
    expect(await sent('channel-one')).toEqual(['raised _1 waiting', 'risen _2 waiting'])
  })

  test('another rule, subscription or cause is another alert', async () => {
    await addOwners(home.db, [
      { id: 'one', name: 'example.fi.' },
      { id: 'two', name: 'example.fi.' },
    ])
    const all = await raise(
      draft(),
      draft({ rule: 'R8' }),
      draft({ subscription: 'two' }),
      draft({ entry: { ...ENTRY, index: 8 } }),
      draft({ entry: { ...ENTRY, origin: 'other.example' } }),
      draft({ cause: 'state x' }),
    )
    expect(all.map(({ event }) => event)).toEqual(Array.from({ length: 6 }, () => 'raised'))
    expect(new Set(all.map(({ id }) => id)).size).toBe(6)
    expect(await sent('channel-one')).toHaveLength(5)
  })

  test('a level rises once, and never falls', async () => {
    await addOwners(home.db, [{ id: 'one', name: 'example.fi.' }])
    await raise(draft())
    const worse = draft({ level: 'CRITICAL', why: 'The name servers changed too.', at: 1_500 })
    expect((await raise(worse))[0]!.event).toBe('risen')
    expect((await raise(worse))[0]!.event).toBeUndefined()
    expect((await raise(draft({ level: 'INFO' })))[0]!.event).toBeUndefined()
    expect(await alerts()).toMatchObject([
      { level: 4, revision: 2, why: worse.why, first_at: 1_000, last_at: 1_500 },
    ])
    expect(await sent('channel-one')).toEqual(['raised _1 waiting', 'risen _2 waiting'])
  })

  test('what is seen again is noted in silence', async () => {
    await addOwners(home.db, [{ id: 'one', name: 'example.fi.' }])
    await raise(draft())
    await raise(draft({ at: 1_700, entry: { ...ENTRY, others: [3, 7, 9] } }))
    await raise(draft({ at: 500 }))
    expect(await alerts()).toMatchObject([
      { first_at: 1_000, last_at: 1_700, indices: '[3,7,9]', revision: 1 },
    ])
    expect(await sent('channel-one')).toHaveLength(1)
  })

  test('what fails with its transaction never was', async () => {
    await addOwners(home.db, [{ id: 'one', name: 'example.fi.' }])
    for (const point of ['alert.raised', 'alert.enqueued']) {
      const off = atTestPoint((name) => {
        if (name === point) throw new Error('crash')
      })
      await expect(raise(draft())).rejects.toThrow('crash')
      off()
      expect(await alerts()).toEqual([])
      expect(await sent('channel-one')).toEqual([])
    }
  })

  test('needs a cause', () => {
    expect(() => causeOf({})).toThrow('cause')
  })
})

describe('resolving', () => {
  test('is told once', async () => {
    await addOwners(home.db, [{ id: 'one', name: 'example.fi.' }])
    const [alert] = await raise(draft())
    expect(await resolve('alert_of_nobody')).toBe(false)
    expect(await resolve(alert!.id)).toBe(true)
    expect(await resolve(alert!.id)).toBe(false)
    expect(await alerts()).toMatchObject([
      { resolved_at: 3_000, resolution: 'The old set is back.', revision: 2 },
    ])
    expect(await sent('channel-one')).toEqual(['raised _1 waiting', 'resolved _2 waiting'])
  })
})

describe('channels', () => {
  test('are told from their level on; mails wait for the digest below it, and INFO always', async () => {
    const name = 'example.fi.'
    await addOwners(home.db, [
      { id: 'hook', name, kind: 'webhook', level: 'WARNING' },
      { id: 'hook0', name, kind: 'webhook', level: 'INFO' },
      { id: 'mail', name, kind: 'email', level: 'WARNING' },
      { id: 'mail0', name, kind: 'email', level: 'INFO' },
      { id: 'pending', name, kind: 'email', state: 'pending' },
      { id: 'failed', name, kind: 'webhook', state: 'failed' },
    ])
    for (const [index, level] of (['INFO', 'NOTICE', 'WARNING'] as const).entries()) {
      for (const subscription of ['hook', 'hook0', 'mail', 'mail0', 'pending', 'failed']) {
        await raise(draft({ subscription, level, entry: { ...ENTRY, index } }))
        await resolve(alertId(subscription, 'R6', `log.example#${index}`))
      }
    }
    const [raised, digest, resolved] = [
      'raised _1 waiting',
      'raised _1 digest',
      'resolved _2 waiting',
    ]
    expect(await sent('channel-hook')).toEqual([raised, resolved])
    expect(await sent('channel-hook0')).toEqual([
      raised,
      resolved,
      raised,
      resolved,
      raised,
      resolved,
    ])
    expect(await sent('channel-mail')).toEqual([digest, digest, raised, resolved])
    expect(await sent('channel-mail0')).toEqual([digest, raised, resolved, raised, resolved])
    expect(await sent('channel-pending')).toEqual([])
    expect(await sent('channel-failed')).toEqual([])
  })

  test('a thousand and one alerts at once', async () => {
    await addOwners(home.db, [{ id: 'one', name: 'example.fi.' }])
    const drafts = Array.from({ length: 1_001 }, (_, index) =>
      draft({ entry: { ...ENTRY, index }, ...(index % 2 === 0 && { before: undefined! }) }),
    )
    const raised = await raise(...drafts)
    expect(raised.every(({ event }) => event === 'raised')).toBe(true)
    expect(await sent('channel-one')).toHaveLength(1_001)
    expect((await alerts()).map(({ idx }) => idx)).toEqual(drafts.map(({ entry }) => entry!.index))
  })
})

describe('what was announced', () => {
  const pins = (subscription: string, seq: number, effective_at: number, not_after = 9_000) => ({
    subscription,
    seq,
    not_after,
    keys: Uint8Array.of(seq),
    owner_key: seq === 0 ? null : new Uint8Array(32),
    created_at: 0,
    effective_at,
  })

  test('the newest pins in effect count alone, as long as they last', async () => {
    await addOwners(home.db, [
      { id: 'one', name: 'example.fi.' },
      { id: 'two', name: 'example.fi.' },
    ])
    const of = async (id: string, at: number): Promise<number | undefined> => {
      const found = await home.db.transaction((trx) => announcedBy(trx, ['one', 'two'], at))
      return found.get(id)?.pins?.keys[0]
    }
    const rows = [pins('one', 0, 100), pins('one', 1, 200), pins('one', 2, 300, 400)]
    await home.db.kysely.insertInto('pin_set').values(rows).execute()
    expect(await of('one', 99)).toBeUndefined()
    expect(await of('one', 100)).toBe(0)
    expect(await of('one', 250)).toBe(1)
    expect(await of('one', 300)).toBe(2)
    expect(await of('one', 400)).toBe(2)
    expect(await of('one', 401)).toBeUndefined()
    expect(await of('two', 250)).toBeUndefined()
  })

  test('windows that have not ended', async () => {
    await addOwners(home.db, [{ id: 'one', name: 'example.fi.' }])
    const row = { begins_at: 10, ends_at: 20, unsigned: true, note: '', created_at: 5 }
    await home.db.kysely
      .insertInto('change_window')
      .values({ subscription: 'one', ...row })
      .execute()
    const at = async (now: number) =>
      (await home.db.transaction((trx) => announcedBy(trx, ['one'], now))).get('one')?.windows
    expect(await at(0)).toMatchObject([{ begins_at: 10, ends_at: 20, unsigned: true }])
    expect(await at(20)).toHaveLength(1)
    expect(await at(21)).toBeUndefined()
  })
})
