/** Nothing is lost: order, retries, dead letters, limits, and what a crash leaves. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { AlertLevel, AlertRule } from '@dslog/schema/alert'
import { DAY, HOUR } from '@dslog/schema/time'
import { type HookAnswer, withStatus } from '@dslog/testbed/webhooksink'
import { atTestPoint } from '../../../test/testpoint.ts'
import { alertId, raiseAlerts, resolveAlert } from '../src/alert.ts'
import { RETRY_SPAN_MS } from '../src/outbox.ts'
import { draft, ENTRY } from './draft.ts'
import { addOwners, type Owner } from './owners.ts'
import { Post } from './post.ts'
import { type Place, quickPlace } from './world.ts'

let home: Place
let post: Post
beforeAll(async () => {
  home = await quickPlace()
})
beforeEach(async () => {
  post = await Post.open(home.db)
})
afterEach(async () => {
  await post.close()
  await home.empty()
})
afterAll(() => home.close())

/** An owner with a channel to the sinks. */
async function owner(more: Partial<Owner> = {}): Promise<void> {
  const target = more.kind === 'email' ? 'ops@example.net' : post.web.url
  await addOwners(home.db, [{ id: 'one', name: 'example.fi.', target, ...more }], post.clock.now())
}

function raise(
  index: number,
  level: AlertLevel = 'HIGH',
  rule: AlertRule = 'R6',
  subscription = 'one',
) {
  const at = post.clock.now()
  const drafted = draft({ subscription, rule, level, entry: { ...ENTRY, index }, at })
  return home.db.transaction((trx) => raiseAlerts(trx, [drafted], at))
}

const hangUp: HookAnswer = (_, response) => {
  response.destroy()
}

const indices = (): unknown[] => post.web.messages.map(({ data }) => data['index'])
const states = async (): Promise<string[]> => {
  const rows = await home.db.kysely.selectFrom('outbox').select('state').orderBy('id').execute()
  return rows.map(({ state }) => state)
}

describe('a webhook', () => {
  test('is told in order, with the level rising and the end', async () => {
    await owner()
    await raise(1)
    await raise(1, 'CRITICAL')
    await home.db.transaction((trx) =>
      resolveAlert(trx, alertId('one', 'R6', 'log.example#1'), 'The old set is back.', 0),
    )
    await raise(2)
    expect(await post.deliver()).toBe(4)
    expect(await post.deliver()).toBe(0)
    expect(post.web.messages.map(({ type }) => type)).toEqual([
      'alert.raised',
      'alert.risen',
      'alert.resolved',
      'alert.raised',
    ])
    const [first] = post.web.messages
    expect(first!.data).toMatchObject({
      name: 'example.fi.',
      rule: 'R6',
      index: 1,
      log: 'log.example',
    })
    expect(new Set(post.web.messages.map(({ id }) => id)).size).toBe(4)
    expect(await states()).toEqual(['sent', 'sent', 'sent', 'sent'])
  })

  test('at 500 for hours gets everything in the end, once, in order, none lost', async () => {
    await owner()
    post.web.answer = withStatus(500)
    for (let index = 0; index < 5; index++) {
      await raise(index)
      await post.pass(2 * HOUR)
    }
    const tried = post.web.hooks.length
    // The waits grow: some dozen attempts in ten hours, all of the first message, under one id.
    expect(tried).toBeGreaterThan(8)
    expect(tried).toBeLessThan(25)
    expect(new Set(post.web.messages.map(({ id }) => id)).size).toBe(1)
    post.web.hooks.length = 0
    post.web.answer = withStatus(204)
    await post.pass(8 * HOUR)
    expect(indices()).toEqual([0, 1, 2, 3, 4])
    expect(await states()).toEqual(Array.from({ length: 5 }, () => 'sent'))
  })

  test.each([
    ['a redirect', withStatus(302, { location: 'http://127.0.0.1/' })],
    ['not modified', withStatus(304)],
    ['a refusal', withStatus(403)],
    ['a line that is cut', hangUp],
  ] as const)('is not served by %s', async (_, answer) => {
    await owner()
    post.web.answer = answer
    await raise(1)
    await post.deliver()
    expect(await states()).toEqual(['waiting'])
    expect(post.web.hooks).toHaveLength(1)
  })

  test('an answer is read up to 64 kB', async () => {
    await owner()
    post.web.answer = (_, response) => response.end('x'.repeat(65 * 1024))
    await raise(1)
    await post.deliver()
    expect(await states()).toEqual(['waiting'])
    const channel = await home.db.kysely.selectFrom('channel').selectAll().executeTakeFirstOrThrow()
    expect(channel.last_error).toContain('65536')
  })

  test('410 ends the channel', async () => {
    await owner()
    post.web.answer = withStatus(410)
    await raise(1)
    await raise(2)
    await post.deliver()
    expect(post.web.hooks).toHaveLength(1)
    expect(await states()).toEqual(['dead', 'dead'])
    expect(post.failing).toEqual(['channel-one: the receiver answered 410'])
    await raise(3)
    await post.pass(DAY)
    expect(post.web.hooks).toHaveLength(1)
  })

  test('after five days a message is put aside, and can be sent again', async () => {
    await owner()
    post.web.answer = withStatus(500)
    await raise(1)
    await post.pass(RETRY_SPAN_MS + 7 * HOUR, HOUR)
    expect(await states()).toEqual(['dead'])
    expect(post.failing.length).toBeGreaterThan(0)
    await raise(2)
    post.web.answer = withStatus(200)
    await post.pass(7 * HOUR, HOUR)
    expect(await states()).toEqual(['dead', 'sent'])
    const subscription = await home.db.kysely
      .selectFrom('subscription')
      .selectAll()
      .executeTakeFirstOrThrow()
    expect(await post.subscriptions.resend(subscription, 'channel-one')).toBe(1)
    post.web.hooks.length = 0
    await post.deliver()
    expect(indices()).toEqual([1])
    expect(await states()).toEqual(['sent', 'sent'])
  })

  test('one that fails holds up no other', async () => {
    await owner()
    await owner({ id: 'two', target: `http://127.0.0.1:1/` })
    await raise(1, 'HIGH', 'R6', 'two')
    await raise(2)
    await post.deliver()
    expect(indices()).toEqual([2])
  })
})

describe('mail', () => {
  test('with the server down for a day arrives', async () => {
    await owner({ kind: 'email' })
    await post.smtp.down()
    for (let index = 0; index < 4; index++) {
      await raise(index)
      await post.pass(6 * HOUR, HOUR)
    }
    expect(post.smtp.mails).toEqual([])
    await post.smtp.up()
    await post.pass(8 * HOUR, HOUR)
    expect(post.smtp.mails.map(({ raw }) => /Entry: {2}(\d+)/.exec(raw)?.[1])).toEqual([
      '0',
      '1',
      '2',
      '3',
    ])
  })

  test('a busy server is asked again, a refused recipient is not', async () => {
    await owner({ kind: 'email' })
    post.smtp.mode = 'busy'
    await raise(1)
    await post.deliver()
    expect(await states()).toEqual(['waiting'])
    post.smtp.mode = 'refuse'
    await post.pass(HOUR)
    expect(await states()).toEqual(['dead'])
    expect(post.failing[0]).toContain('no such user')
  })

  test('is limited a day, the rest folded and counted, the last kept for what is critical', async () => {
    await post.close()
    post = await Post.open(home.db, { perDay: 8 })
    await owner({ kind: 'email' })
    for (let index = 0; index < 30; index++) await raise(index)
    await post.deliver()
    expect(post.smtp.mails).toHaveLength(6)
    for (let index = 30; index < 40; index++) await raise(index, 'CRITICAL')
    await post.deliver()
    expect(post.smtp.mails).toHaveLength(8)
    await post.digests.round()
    await post.deliver()
    expect(post.smtp.mails).toHaveLength(8)

    post.clock.advance(DAY)
    await post.digests.round()
    await post.digests.round()
    await post.deliver()
    expect(post.smtp.mails).toHaveLength(9)
    const summary = post.smtp.mails.at(-1)!
    expect(summary.headers.get('subject')).toBe('example.fi. summary: 32 alerts')
    expect(summary.parts[0]!.content).toContain('32 alerts')
    await raise(50)
    await post.deliver()
    expect(post.smtp.mails).toHaveLength(10)
  })

  test('INFO comes once a week', async () => {
    await owner({ kind: 'email', level: 'INFO' })
    await raise(1, 'INFO', 'R5')
    await raise(2, 'INFO', 'R9')
    await post.pass(DAY)
    await post.digests.round()
    expect(await post.deliver()).toBe(0)
    post.clock.advance(6 * DAY)
    await post.digests.round()
    expect(await post.deliver()).toBe(1)
    expect(post.smtp.mails[0]!.parts[0]!.content).toContain('R5, entry 1')
    await post.digests.round()
    expect(await post.deliver()).toBe(0)
  })
})

describe('a crash', () => {
  const STEPS = ['alert.raised', 'alert.enqueued', 'outbox.next', 'outbox.sent', 'outbox.noted']

  test.each(STEPS)(
    'at %s loses nothing, keeps the order, and gives duplicates one id',
    async (step) => {
      await owner()
      const deaths: number[] = []
      for (let pass = 1; pass <= 4; pass++) {
        let left = pass
        const off = atTestPoint((name) => {
          if (name !== step || --left !== 0) return
          deaths.push(pass)
          throw new Error('killed')
        })
        const raised = await raise(pass).catch((error: unknown) =>
          expect(String(error)).toContain('killed'),
        )
        await post.deliver().catch((error: unknown) => expect(String(error)).toContain('killed'))
        off()
        // The next start finds the same entry, judges it again, and delivers what is left.
        if (raised === undefined) await raise(pass)
        await post.deliver()
        await raise(pass)
        await post.deliver()
      }
      expect(deaths).not.toEqual([])
      const first = new Map<string, unknown>()
      for (const { data, id } of post.web.messages) {
        if (first.has(id)) expect(first.get(id)).toBe(data['index'])
        else first.set(id, data['index'])
      }
      expect([...first.values()]).toEqual([1, 2, 3, 4])
      const seen = indices() as number[]
      expect(seen).toEqual(seen.toSorted((a, b) => a - b))
      expect(await states()).toEqual(['sent', 'sent', 'sent', 'sent'])
    },
  )
})
