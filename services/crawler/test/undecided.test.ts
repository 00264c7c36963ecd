/** What the log has not decided upon is asked about again in minutes: its answer must not be lost for a day. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { nameFromText } from '@dslog/dnssec/name'
import type { SubmitResult } from '@dslog/schema/api'
import { DAY, HOUR, MINUTE } from '@dslog/schema/time'
import { Metrics } from '@dslog/service/metrics'
import { TestClock } from '@dslog/testbed/clock'
import { silent } from '../../../test/silent.ts'
import { Frontier, type Task } from '../src/frontier.ts'
import { Inquirer, type InquirerOptions } from '../src/inquire.ts'
import { countersIn } from '../src/metrics.ts'
import { TaskKind, Tier } from '../src/schedule.ts'
import { HASH_KEY, openPlace, type Place, RUNNING } from './place.ts'

const clock = new TestClock()
const zone = nameFromText('fi.')
const owner = nameFromText('example.fi.')

let place: Place
beforeAll(async () => {
  place = await openPlace('embedded')
})
beforeEach(() => place.empty())
afterAll(() => place.close())

/** What becomes of a task whose evidence the log answers so. */
async function finish(kind: number, answer: SubmitResult) {
  const seen = {
    owner,
    zone,
    stateId: new Uint8Array(32),
    signed: true,
    inception: 1,
    messages: [],
  }
  const inquirer = new Inquirer({
    frontier: await Frontier.join(place.db, HASH_KEY, clock.now()),
    counters: countersIn(new Metrics('crawler')),
    optOut: [],
    clock: clock.now,
    random: () => 0,
    logger: silent,
    submitter: { submit: async () => answer },
    walker: { parentOf: async () => ({ zone }), zoneOf: async () => ({ zone }) },
    looker: { look: async () => [seen], keys: async () => [{ messages: [], rdatas: [] }] },
  } as unknown as InquirerOptions)
  const name = kind === TaskKind.keys ? zone : owner
  const task: Task = { name, kind, tier: Tier.signed, due: 0, failures: 0, answered: undefined }
  const party = { signal: RUNNING, onSeen: () => {} }
  const finished = await inquirer.inquire(task, undefined, party)
  const { answered, due, failures, reason } = finished!
  return { answered: answered !== undefined, in: due! - clock.now(), failures, reason }
}

test.each([
  [{ status: 'accepted' }, 'log: accepted'],
  [{ status: 'refused', reason: 'rate-limited', detail: 'come again' }, 'log: rate-limited'],
] as const)('%o', async (answer, reason) => {
  const soon = { answered: false, in: 5 * MINUTE, failures: 1, reason }
  expect(await finish(TaskKind.poll, answer)).toEqual(soon)
  expect(await finish(TaskKind.keys, answer)).toEqual(soon)
})

test.each([
  { status: 'logged', index: 7 },
  { status: 'known', index: 7 },
  { status: 'refused', reason: 'bogus', detail: 'no' },
] as const)('$status is an answer until the next round', async (answer) => {
  const name = await finish(TaskKind.poll, answer)
  expect(name).toMatchObject({ answered: true, failures: 0, reason: undefined })
  expect(name.in).toBeGreaterThan(DAY / 2)
  const keys = await finish(TaskKind.keys, answer)
  expect(keys).toMatchObject({ answered: true, failures: 0, reason: undefined })
  expect(keys.in).toBeGreaterThan(HOUR / 2)
})
