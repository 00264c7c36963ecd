import { cp, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, describe, expect, onTestFinished, test } from 'vitest'
import { fromUtf8, toBase64 } from '@dslog/tlog/bytes'
import { ed25519Signer } from '@dslog/tlog/note'
import { nameFromText } from '@dslog/dnssec/name'
import { HOUR } from '@dslog/schema/time'
import { DatabaseError } from '@dslog/service/database-error'
import { MAP_DEPTH } from '@dslog/service/maptables'
import { Internet } from '@dslog/testbed/internet'
import { ownerDs } from '@dslog/testbed/stories'
import { damage, flip } from '../../../test/damage.ts'
import { keyOf, type Kind, type Place, Places } from '../../../test/place.ts'
import { complaints, observe, openPlace, TestLog } from '../../../test/testlog.ts'
import { LogError, type LogErrorCode } from '../src/error.ts'
import { createLog } from '../src/create.ts'
import { Log, type LogOptions } from '../src/log.ts'
import { LOG_FILES } from '../src/files.ts'
import { SignerFile } from '../src/signer.ts'
import { TreeStore } from '../src/store.ts'

const places = await Places.open()
afterAll(() => places.close())

const net = new Internet()
const fi = net.addZone('fi.')
let changes = 0

/** Logs a change; each is a tree of its own. */
async function grow(test: TestLog, trees = 1): Promise<void> {
  for (let i = 0; i < trees; i++) {
    const owner = nameFromText(`name${changes % 5}.fi.`)
    net.clock.advance(HOUR)
    fi.delegate(owner, [ownerDs(owner, ++changes)])
    const [result] = await test.submit(observe(net, owner))
    expect(result).toMatchObject({ status: 'logged' })
  }
}

/** The record of what was signed is a file, also beside a server. */
function beside(place: Place): (options: LogOptions) => LogOptions {
  const path = join(place.data, LOG_FILES.signer)
  return (options) => ({ ...options, signerRow: new SignerFile(path) })
}

async function open(place: Place, wrap = beside(place)): Promise<TestLog> {
  const test = await TestLog.open({ place, clock: net.clock.now, wrap })
  onTestFinished(() => test.close())
  return test
}

/** A closed log of some trees. */
async function logOf(kind: Kind, trees: number): Promise<Place> {
  const place = await places.make(kind, net.anchors)
  const test = await open(place)
  await grow(test, trees)
  await test.close()
  return place
}

async function expectRefusal(
  place: Place,
  code: LogErrorCode,
  message: RegExp,
  wrap = beside(place),
): Promise<void> {
  const refusal: unknown = await open(place, wrap).then(
    (test) => test.close().then(() => 'it opened'),
    (error: unknown) => error,
  )
  expect(refusal).toBeInstanceOf(LogError)
  expect(refusal).toMatchObject({ code, message: expect.stringMatching(message) })
}

/** Changes rows of a closed log, one with each statement. */
async function damageAt(place: Place, ...statements: readonly string[]): Promise<void> {
  const { db } = await openPlace(place, net.clock.now)
  onTestFinished(() => db.close())
  expect(await damage(db, ...statements)).toEqual(statements.map(() => 1n))
  await db.close()
}

describe.each(places.kinds)('on %s', (kind) => {
  test('a log is created once, and opened only where there is one', async () => {
    const place = await places.make(kind, net.anchors)
    const options = beside(place)(await openPlace(place, net.clock.now))
    onTestFinished(() => options.db.close())
    await expect(Log.open(options)).rejects.toMatchObject({ code: 'missing' })
    const lock = await options.db.lockExclusive('log', () => {})
    await expect(createLog(options)).rejects.toMatchObject({ code: 'held' })
    await lock.release()
    // Of two at once one comes while the other is at it, or when that is done.
    const both = await Promise.allSettled([createLog(options), createLog(options)])
    const refused = both.filter(({ status }) => status === 'rejected')
    expect(refused).toMatchObject([{ reason: { code: expect.stringMatching(/^(held|exists)$/) } }])
    await expect(createLog(options)).rejects.toMatchObject({ code: 'exists' })
    const log = await Log.open(options)
    onTestFinished(() => log.close())
    expect(log.published.size).toBe(1)
    // A record without a log is that of a log that was lost: a second one of its name would be a fork.
    const lost = await places.make(kind, net.anchors)
    await cp(join(place.data, LOG_FILES.signer), join(lost.data, LOG_FILES.signer))
    const empty = beside(lost)(await openPlace(lost, net.clock.now))
    onTestFinished(() => empty.db.close())
    await expect(createLog(empty)).rejects.toMatchObject({ code: 'exists' })
  })

  test('one opening at a time', async () => {
    const place = await logOf(kind, 1)
    const test = await open(place)
    const second: unknown = await open(place).catch((error: unknown) => error)
    expect(second).toBeInstanceOf(DatabaseError)
    expect(second).toMatchObject({ message: expect.stringMatching(/lock|in use|process/) })
    await grow(test)
    await test.close()
    await open(place)
  })

  test('a restored backup is behind what was signed', async () => {
    const place = await logOf(kind, 2)
    const backup = await places.copy(place)
    const test = await open(place)
    await grow(test, 2)
    const { size } = test.log
    await test.close()
    await cp(join(place.data, LOG_FILES.signer), join(backup.data, LOG_FILES.signer))
    await expectRefusal(backup, 'behind', new RegExp(`${size} were signed`))
    // The newest one goes on.
    const newest = await places.copy(place)
    await open(newest)
  })
})

// What is checked is the same SQL and the same bytes on both: the server is faster.
describe('what does not fit together', () => {
  const kind = places.kinds.at(-1)!

  test('a copy that went its own way is a fork', async () => {
    const place = await logOf(kind, 2)
    const copy = await places.copy(place)
    for (const [at, trees] of [
      [place, 1],
      [copy, 2],
    ] as const) {
      const test = await open(at)
      await grow(test, trees)
      await test.close()
    }
    const record = await readFile(join(place.data, LOG_FILES.signer))
    await writeFile(join(copy.data, LOG_FILES.signer), record)
    await expectRefusal(copy, 'forked', /not those that were signed/)
  })

  test('of a database and its copy, both at work with one record, the second stops before it signs', async () => {
    const place = await logOf(kind, 2)
    const copy = await places.copy(place)
    const signed: string[] = []
    const both = await Promise.all(
      [place, copy].map((at) =>
        open(at, (options) => ({
          ...beside(place)(options),
          signers: options.signers.map((signer) => ({
            ...signer,
            sign: (text: Uint8Array) => {
              signed.push(fromUtf8(text))
              return signer.sign(text)
            },
          })),
        })),
      ),
    )
    const [first, second] = both as [TestLog, TestLog]
    const { note, size } = second.log.published
    await grow(first)
    const before = signed.length
    await expect(grow(second)).rejects.toMatchObject({
      code: 'forked',
      message: expect.stringMatching(/does not continue the signed one/),
    })
    expect(signed).toHaveLength(before)
    expect(second.log.published).toMatchObject({ note, size })
    await grow(first)
    for (const test of both) await test.close()
    // It committed what nobody will ever sign: only the first database is the log.
    await expectRefusal(copy, 'behind', /were signed/, beside(place))
    await open(place)
  })

  test('another record of what was signed', async () => {
    const place = await logOf(kind, 1)
    const path = join(place.data, LOG_FILES.signer)
    const record = await readFile(path, 'utf8')
    const { root, size } = JSON.parse(record) as { root: string; size: number }
    const other = { origin: 'log.example/other', size, root }
    await writeFile(path, JSON.stringify(other))
    await expectRefusal(place, 'signer', /log\.example\/other/)
    for (const text of ['', '{', '[]', '{}', 'null', JSON.stringify({ ...other, root: 'AAAA' })]) {
      await writeFile(path, text)
      await expectRefusal(place, 'signer', /not a record/)
    }
    await writeFile(
      path,
      JSON.stringify({ origin: keyOf().name, size, root: toBase64(new Uint8Array(32)) }),
    )
    await expectRefusal(place, 'forked', /not those that were signed/)
    await rm(path)
    await expectRefusal(place, 'signer', /gone/)
    await writeFile(path, record)
    await open(place)
  })

  test('a key of another origin', async () => {
    const place = await logOf(kind, 1)
    const other = ed25519Signer(keyOf('log.example/other'))
    const with2 = (options: LogOptions) => ({
      ...beside(place)(options),
      signers: [...options.signers, other],
    })
    await expectRefusal(place, 'key', /log\.example\/other/, (options) => ({
      ...beside(place)(options),
      signers: [other],
    }))
    await expectRefusal(place, 'key', /one name/, with2)
    await expectRefusal(place, 'key', /one name/, (options) => ({ ...options, signers: [] }))
  })

  test('a row of the tree that points elsewhere', async () => {
    const place = await logOf(kind, 3)
    const zeros = "decode(repeat('00', 32), 'hex')"
    const rows: readonly [string, LogErrorCode, RegExp][] = [
      ['size = size + 1', 'corrupt', /not stored|not those/],
      ['size = size - 1', 'corrupt', /not those/],
      [`root = ${zeros}`, 'corrupt', /not those/],
      [`map_root = ${zeros}`, 'corrupt', /name map/],
      ['map_head = map_head - 2', 'corrupt', /name map/],
      ['map_time = map_time - 1', 'corrupt', /name map/],
      ['key_count = key_count + 1', 'corrupt', /name map/],
      ["origin = 'log.example/other'", 'key', /log\.example\/other/],
      ['loading = true', 'unfinished-load', /import again/],
    ]
    for (const [set, code, message] of rows) {
      const copy = await places.copy(place)
      await damageAt(copy, `update tree set ${set}`)
      await expectRefusal(copy, code, message)
    }
  })

  test('an earlier tree of the same log is behind', async () => {
    const place = await places.make(kind, net.anchors)
    const test = await open(place)
    await grow(test)
    const { size } = test.log
    const root = await test.log.published.reader.subtreeHash(0, size)
    await grow(test)
    await test.close()
    await damageAt(
      place,
      `update tree set size = ${size}, root = decode('${Buffer.from(root).toString('hex')}', 'hex')`,
    )
    await expectRefusal(place, 'behind', /were signed/)
  })

  test.each([
    ['a tile at the edge', `update tile set ${flip('data', '0')} where level = 0`],
    ['a tile that is gone', 'delete from tile where level = 0'],
    ['a tile cut off', 'update tile set data = substr(data, 1, length(data) - 1) where level = 0'],
    ['the first entry of the bundle', `update bundle set ${flip('data', '4')}`],
    ['the last entry of the bundle', `update bundle set ${flip('data', 'length(data) - 1')}`],
    ['an entry in the middle', `update bundle set ${flip('data', 'length(data) / 2')}`],
    ['a length in the bundle', `update bundle set ${flip('data', '0')}`],
    ['a bundle cut off', 'update bundle set data = substr(data, 1, length(data) - 1)'],
    ['a bundle that is gone', 'delete from bundle'],
    [
      'the root of a bucket',
      `update map_bucket set ${flip('root', '7')} where (prefix, tree_size) =
        (select prefix, tree_size from map_bucket order by tree_size desc, prefix limit 1)`,
    ],
    [
      'a bucket that is gone',
      `delete from map_bucket where (prefix, tree_size) =
        (select prefix, tree_size from map_bucket order by tree_size desc, prefix limit 1)`,
    ],
  ])('%s: damaged', async (_, statement) => {
    const place = await logOf(kind, 3)
    await damageAt(place, statement)
    await expectRefusal(place, 'corrupt', /./)
  })

  test('contents of a bucket, damaged, stop the log before it signs anything of them', async () => {
    const place = await places.make(kind, net.anchors)
    const test = await open(place)
    const owner = nameFromText('name0.fi.')
    net.clock.advance(HOUR)
    fi.delegate(owner, [ownerDs(owner, ++changes)])
    await test.submit(observe(net, owner))
    const { size } = test.log
    await test.close()
    await damageAt(
      place,
      `update map_bucket set ${flip('data', '40')} where (prefix, tree_size) = (
      select prefix, max(tree_size) from map_bucket where prefix = (
        select (get_byte(key, 0) * 65536 + get_byte(key, 1) * 256 + get_byte(key, 2)) >> (24 - ${MAP_DEPTH})
        from name where kind = 1 order by key limit 1) group by prefix)`,
    )
    const again = await open(place)
    net.clock.advance(HOUR)
    fi.delegate(owner, [ownerDs(owner, ++changes)])
    await expect(again.submit(observe(net, owner))).rejects.toMatchObject({ code: 'bad-map' })
    expect(again.log.size).toBe(size)
    expect(await complaints(again)).not.toEqual([])
    await again.close()
    await open(place)
  })

  test('a log that somebody else has taken over appends nothing more', async () => {
    const place = await logOf(kind, 1)
    const options = beside(place)(await openPlace(place, net.clock.now))
    onTestFinished(() => options.db.close())
    // As if the lock had been lost unnoticed.
    const unlocked = {
      ...options,
      db: { ...options.db, lockExclusive: async () => ({ release: async () => {} }) },
    }
    const first = await TestLog.over(unlocked, { clock: net.clock.now })
    const second = await TestLog.over(unlocked, { clock: net.clock.now })
    await expect(grow(first)).rejects.toMatchObject({ code: 'fenced' })
    await grow(second, 2)
    await expect(grow(first)).rejects.toMatchObject({ code: 'fenced' })
    await expect(first.log.refresh()).rejects.toMatchObject({ code: 'behind' })
    expect(await complaints(second)).toEqual([])
    const published = await new TreeStore(options.db).published()
    expect(published!.size).toBe(second.log.size)
  })

  test('a tree that is published late does not hide a newer one', async () => {
    const place = await logOf(kind, 1)
    const options = beside(place)(await openPlace(place, net.clock.now))
    onTestFinished(() => options.db.close())
    let arrived: () => void = () => {}
    let goOn: () => void = () => {}
    const held = new Promise<void>((resolve) => (goOn = resolve))
    const slow = new Promise<void>((resolve) => (arrived = resolve))
    const db = { ...options.db, lockExclusive: async () => ({ release: async () => {} }) }
    const { signerRow } = options
    const first = await TestLog.over(
      {
        ...options,
        db,
        signerRow: {
          read: () => signerRow.read(),
          async advance(from, to) {
            await signerRow.advance(from, to)
            arrived()
            await held
          },
        },
      },
      { clock: net.clock.now },
    )
    const growing = grow(first)
    await slow
    const second = await TestLog.over({ ...options, db }, { clock: net.clock.now })
    await grow(second)
    goOn()
    await growing
    const published = await new TreeStore(options.db).published()
    expect(published).toMatchObject({ size: second.log.size, note: second.log.published.note })
  })
})
