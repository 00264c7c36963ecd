import { tmpdir } from 'node:os'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { ALGORITHM } from '@dslog/dnssec/backend/backend'
import { nameFromText } from '@dslog/dnssec/name'
import { HOUR } from '@dslog/schema/time'
import { Internet } from '@dslog/testbed/internet'
import { ownerDs } from '@dslog/testbed/stories'
import { Places } from '../../../test/place.ts'
import { complaints, observe, openPlace, TestLog } from '../../../test/testlog.ts'
import { DiskGuard, type FreeBytes, isDiskFull } from '../src/disk.ts'
import type { LogOptions } from '../src/log.ts'
import { Sequencer } from '../src/sequencer.ts'
import { emptied } from './emptied.ts'

const MIB = 1024 * 1024

describe('a disk', () => {
  test('is low below the reserve, and not at it', async () => {
    let now = 0
    let left = 100 * MIB
    const guard = new DiskGuard({
      paths: ['/a', '/b'],
      reserve: 100,
      clock: () => now,
      free: async (path) => (path === '/b' ? left : 1e15),
    })
    expect(await guard.look()).toBeUndefined()
    left -= 1
    // A look is good for a second.
    expect(await guard.look()).toBeUndefined()
    now += 1_000
    expect(await guard.look()).toBe('the disk is nearly full')
    expect(guard.low).toBe('the disk is nearly full')
    left += 1
    now += 1_000
    expect(await guard.look()).toBeUndefined()
    expect(guard.low).toBeUndefined()
  })

  test('that the database says is full is so for a while', async () => {
    let now = 0
    const guard = new DiskGuard({ paths: [], reserve: 1, clock: () => now })
    guard.noteFull()
    expect(guard.low).toMatch(/full/)
    now += 9_999
    expect(await guard.look()).toMatch(/full/)
    now += 1_000
    expect(await guard.look()).toBeUndefined()
  })

  test('of this machine has room, one that is not there does not matter', async () => {
    const guard = new DiskGuard({ paths: [tmpdir(), '/no/such/folder'], reserve: 1 })
    expect(await guard.look()).toBeUndefined()
    expect(await new DiskGuard({ paths: [tmpdir()], reserve: 1e12 }).look()).toMatch(/full/)
    expect(await new DiskGuard({ paths: [tmpdir()], reserve: 0 }).look()).toBeUndefined()
  })

  test('errors of a database are told apart', () => {
    expect(isDiskFull(Object.assign(new Error('no space'), { code: '53100' }))).toBe(true)
    expect(isDiskFull(Object.assign(new Error('other'), { code: '53200' }))).toBe(false)
    expect(isDiskFull('53100')).toBe(false)
  })
})

describe('a log whose disk fills', () => {
  const net = new Internet()
  const fi = net.addZone('fi.', { algorithm: ALGORITHM.ED25519 })
  let places: Places
  let options: LogOptions
  let log: TestLog
  let sequencer: Sequencer
  let now = 0
  let free: number
  /** So many of the next transactions fail, as on a full disk. */
  let failing = 0
  let failure: unknown

  beforeAll(async () => {
    places = await Places.open()
    const place = await places.make(places.kinds.at(-1)!, net.anchors)
    options = await openPlace(place, net.clock.now)
  })
  afterAll(async () => {
    await options.db.close()
    await places.close()
  })

  beforeEach(async () => {
    free = 1e12
    failing = 0
    failure = undefined
    options = await emptied(options)
    const look: FreeBytes = async () => free
    const guard = new DiskGuard({ paths: ['/'], reserve: 100, clock: () => now, free: look })
    log = await TestLog.over(options, {
      clock: net.clock.now,
      wrap: (own) => ({
        ...own,
        db: {
          ...own.db,
          transaction: (work) =>
            own.db.transaction(async (trx) => {
              const result = await work(trx)
              if (failing > 0) {
                failing--
                throw Object.assign(new Error('could not extend file'), { code: '53100' })
              }
              return result
            }),
        },
      }),
      sink: (opened) => {
        sequencer = new Sequencer(opened, { interval: 1, clock: net.clock.now, disk: guard })
        return sequencer
      },
    })
    sequencer.start((error) => (failure = error))
    return async () => {
      await sequencer.stop()
      await log.log.close()
    }
  })

  function change(generation: number) {
    net.clock.advance(HOUR)
    const owner = nameFromText('example.fi.')
    fi.delegate(owner, [ownerDs(owner, generation)])
    return log.submit(observe(net, owner))
  }

  test('sequences nothing while there is little room, and goes on when there is more', async () => {
    await change(1)
    const { size } = log.log
    free = 99 * MIB
    now += 1_000
    await expect.poll(() => sequencer.heldBy()).toBe('the disk is nearly full')
    await expect(change(2)).rejects.toMatchObject({
      problem: 'unavailable',
      detail: 'the disk is nearly full',
      retryAfter: expect.any(Number),
    })
    expect(log.log.size).toBe(size)
    free = 100 * MIB
    now += 1_000
    await expect.poll(() => sequencer.heldBy()).toBeUndefined()
    expect(await change(4)).toMatchObject([{ status: 'logged' }])
    expect(await complaints(log)).toEqual([])
  })

  test('loses nothing when the database says so, and tries again', async () => {
    await change(5)
    failing = 1
    const refused = change(6)
    await expect.poll(() => failing).toBe(0)
    const { size } = log.log
    expect(failure).toBeUndefined()
    now += 11_000
    expect(await refused).toMatchObject([{ status: 'logged', index: size }])
    expect(await complaints(log)).toEqual([])
  })
})
