/** Backups that are put back, databases that are lost, maps that are damaged: what mends them, and what refuses to. */
import { copyFile, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type RawBuilder, sql } from 'kysely'
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { LogClient } from '@dslog/tlog/client'
import { verifierOf } from '@dslog/tlog/cosignature'
import { HttpClient } from '@dslog/tlog/http'
import { parsePolicy } from '@dslog/tlog/policy'
import { ALGORITHM } from '@dslog/dnssec/backend/backend'
import { nodeBackend } from '@dslog/dnssec/backend/node'
import { type Name, nameFromText } from '@dslog/dnssec/name'
import { HOUR } from '@dslog/schema/time'
import { Internet } from '@dslog/testbed/internet'
import { ownerDs } from '@dslog/testbed/stories'
import { damage, flip } from '../../../test/damage.ts'
import { keyOf, ORIGIN, type Place, Places, policyOf } from '../../../test/place.ts'
import { silent } from '../../../test/silent.ts'
import { broken, complaints, observe, openPlace, TestLog } from '../../../test/testlog.ts'
import { atTestPoint } from '../../../test/testpoint.ts'
import { LOG_FILES } from '../src/files.ts'
import { FolderTarget } from '../src/publish/folder.ts'
import { Publisher } from '../src/publish/publisher.ts'
import { rebuildMap } from '../src/rebuild.ts'
import { restore, type Restored, type RestoreOptions } from '../src/restore.ts'

const places = await Places.open()
const base = await mkdtemp(join(tmpdir(), 'dslog-restore-'))
afterAll(async () => {
  await places.close()
  await rm(base, { recursive: true })
})

const backend = nodeBackend()
/** Small enough that a tree of the test is divided. */
const LIMITS = { entries: 16, waiting: 40, bytes: 1_000_000 }

class Dies extends Error {}

describe.each(places.kinds.slice(-1))('a log on %s', (kind) => {
  const net = new Internet()
  const fi = net.addZone('fi.', { algorithm: ALGORITHM.ED25519 })
  const { now } = net.clock
  let generation = 0
  /** The log, and what it was when the backup was made. */
  let place: Place
  let backup: Place
  /** Published files. */
  let folder: string
  /** Every note that was shown. */
  let notes: string[]

  function signerOf({ data }: Place): string {
    return join(data, LOG_FILES.signer)
  }

  /** A place whose record of what was signed lies outside of the database. */
  function apart(place: Place): Place {
    return { ...place, env: { ...place.env, DSLOG_LOG_SIGNER_PATH: signerOf(place) } }
  }

  async function grow(log: TestLog, ...counts: readonly number[]): Promise<void> {
    for (const count of counts) {
      net.clock.advance(HOUR)
      generation++
      const owners = Array.from({ length: count }, (_, i): Name => nameFromText(`name${i}.fi.`))
      for (const owner of owners) fi.delegate(owner, [ownerDs(owner, generation)])
      await log.submit(...owners.map((owner) => observe(net, owner)))
      notes.push(log.log.published.note)
    }
  }

  async function using<T>(place: Place, work: (log: TestLog) => Promise<T>): Promise<T> {
    const log = await TestLog.open({ place, clock: now })
    try {
      return await work(log)
    } finally {
      await log.close()
    }
  }

  async function publish(log: TestLog, to: string): Promise<Publisher> {
    const verifiers = [verifierOf(keyOf())]
    const target = new FolderTarget(to)
    const publisher = new Publisher({ log: log.log, target, verifiers, logger: silent })
    await publisher.start(() => {})
    await publisher.stop()
    return publisher
  }

  /** As they were at first; each test has copies. */
  let original: { place: Place; backup: Place; notes: readonly string[] }

  beforeAll(async () => {
    notes = []
    const place = apart(await places.make(kind, net.anchors))
    await using(place, async (log) => {
      await grow(log, 3, 12)
    })
    const backup = apart(await places.copy(place))
    folder = join(base, kind)
    await using(place, async (log) => {
      await grow(log, 5, 60, 2)
      await publish(log, folder)
    })
    original = { place, backup, notes }
  })

  beforeEach(async () => {
    notes = [...original.notes]
    place = apart(await places.copy(original.place))
    backup = apart(await places.copy(original.backup))
  })

  function clientOf(files: string = folder): LogClient {
    const fetch = async (url: string): Promise<Response> => {
      const data = await new FolderTarget(files).read(url.slice('http://files.test/'.length))
      return new Response(data && new Uint8Array(data), { status: data ? 200 : 404 })
    }
    const policy = parsePolicy(policyOf())
    const http = new HttpClient({ fetch, now: Date.now, random: () => 0 })
    return new LogClient('http://files.test', policy, http)
  }

  async function restored(place: Place, own: Partial<RestoreOptions> = {}): Promise<Restored> {
    const options = await openPlace(place, now)
    try {
      return await restore(options, { client: clientOf(), backend, limits: LIMITS, ...own })
    } finally {
      await options.db.close()
    }
  }

  async function rebuilt(place: Place, damage: RawBuilder<unknown>) {
    const options = await openPlace(place, now)
    try {
      await damage.execute(options.db.kysely)
      return await rebuildMap(options, backend)
    } finally {
      await options.db.close()
    }
  }

  /** The log opens, holds all that was ever shown, goes on, and nobody has anything to say against it. */
  async function expectSound(place: Place): Promise<void> {
    await using(place, async (log) => {
      expect(await broken(log, notes)).toEqual([])
      await grow(log, 4)
      expect(await broken(log, notes)).toEqual([])
      expect(await complaints(log)).toEqual([])
    })
  }

  test('a backup is refused, says why, and is brought up to date', async () => {
    await copyFile(signerOf(place), signerOf(backup))
    await expect(TestLog.open({ place: backup, clock: now })).rejects.toMatchObject({
      code: 'behind',
      message: expect.stringMatching(/holds \d+ entries, but \d+ were signed: restore/),
    })
    const report = await restored(backup)
    expect(report.size).toBeGreaterThan(report.from + 50)
    await expectSound(backup)
  })

  test('a backup that took the record of what was signed along is caught by what is published', async () => {
    await using(backup, async (log) => {
      await expect(publish(log, folder)).rejects.toMatchObject({
        code: 'behind',
        message: expect.stringMatching(/shows \d+: restore the rest first/),
      })
    })
    await restored(backup)
    await expectSound(backup)
  })

  test('a restore that dies goes on where it was', async () => {
    await copyFile(signerOf(place), signerOf(backup))
    // The backup has 20 entries. What follows them are trees of 6, 61 and 3, MAP_HEADs included; a unit is
    // one that ends with a MAP_HEAD, except in the tree of 61, which is too large to wait for its own.
    for (const [point, pass, stored] of [
      ['restore.committing', 1, 20],
      ['restore.unit', 1, 26],
      ['restore.committing', 2, 66],
      // Its MAP_HEAD is another transaction than the entries before.
      ['restore.committing', 2, 86],
      ['restore.committing', 2, 87],
      ['restore.committing', 1, 87],
    ] as const) {
      let left: number = pass
      const off = atTestPoint((name) => {
        if (name === point && --left === 0) throw new Dies()
      })
      await expect(restored(backup)).rejects.toThrow(Dies)
      off()
      // Halfway there it is no log to be opened.
      await expect(TestLog.open({ place: backup, clock: now })).rejects.toMatchObject({
        code: 'behind',
        message: expect.stringMatching(`holds ${stored} entries, but 90 were signed`),
      })
    }
    expect(await restored(backup)).toMatchObject({ from: 87, size: 90 })
    await expectSound(backup)
  })

  test('a database that is lost altogether comes back from the files', async () => {
    const empty = apart(await places.make(kind, net.anchors))
    await expect(restored(empty)).rejects.toMatchObject({ code: 'signer' })
    await copyFile(signerOf(place), signerOf(empty))
    await expect(restored(empty)).resolves.toMatchObject({ from: 0 })
    const shown = [...notes]
    await expectSound(empty)

    notes = shown
    const other = apart(await places.make(kind, net.anchors))
    await expect(restored(other, { withoutSigner: true })).resolves.toMatchObject({ from: 0 })
    await expectSound(other)
  })

  test('a log that lacks nothing stays as it is', async () => {
    const { from, size } = await restored(place)
    expect(from).toBe(size)
    await using(place, (log) => grow(log, 3))
    // What is published lags behind; that is no reason to go back.
    const again = await restored(place)
    expect(again).toMatchObject({ from: size + 4, size: size + 4 })
    await expectSound(place)
  })

  test('files that lack what was signed restore nothing', async () => {
    const short = `${folder}-short`
    await using(backup, (log) => publish(log, short))
    await copyFile(signerOf(place), signerOf(backup))
    await expect(restored(backup, { client: clientOf(short) })).rejects.toMatchObject({
      code: 'behind',
      message: expect.stringMatching(/\d+ entries were signed, and .* has only \d+ of them/),
    })
  })

  test('another history is no source, whatever is the other', async () => {
    // The same key, and other entries: what the key must never do.
    const fork = apart(await places.make(kind, net.anchors))
    const files = `${folder}-fork`
    const own = notes
    notes = []
    await using(fork, async (log) => {
      await grow(log, 2, 120)
      await publish(log, files)
    })
    notes = own
    const source = { client: clientOf(files) }
    await copyFile(signerOf(place), signerOf(backup))
    await expect(restored(backup, source)).rejects.toMatchObject({ code: 'forked' })
    // Nobody remembers what was signed, and the database is of another history than the files.
    await rm(signerOf(backup))
    await expect(restored(backup, { ...source, withoutSigner: true })).rejects.toMatchObject({
      code: 'forked',
    })
    await copyFile(signerOf(place), signerOf(backup))
    await restored(backup)
    await expectSound(backup)
  })

  test('a damaged file is noticed, and nothing of it gets in', async () => {
    await copyFile(signerOf(place), signerOf(backup))
    const damaged = `${folder}-damaged`
    await using(place, (log) => publish(log, damaged))
    const [bundle] = (await readdir(join(damaged, 'tile/entries/000.p'))).toSorted(
      (a, b) => Number(b) - Number(a),
    )
    const path = join(damaged, 'tile/entries/000.p', bundle!)
    const data = await readFile(path)
    data[data.length - 5]! ^= 1
    await writeFile(path, data)
    await expect(restored(backup, { client: clientOf(damaged) })).rejects.toMatchObject({
      code: 'misbehaviour',
    })
    await expect(TestLog.open({ place: backup, clock: now })).rejects.toMatchObject({
      code: 'behind',
    })
    await restored(backup)
    await expectSound(backup)
  })

  test('files of another log are refused', async () => {
    const client = clientOf()
    const other = await places.make(kind, net.anchors, `${ORIGIN}/other`)
    const options = await openPlace(other, now)
    try {
      const own = { client, backend, withoutSigner: true }
      await expect(restore(options, own)).rejects.toMatchObject({ code: 'key' })
    } finally {
      await options.db.close()
    }
  })

  describe('a log that was ended', () => {
    async function expectEnded(place: Place): Promise<void> {
      await using(place, async (log) => {
        expect(log.log.isFrozen).toBe(true)
        await expect(grow(log, 1)).rejects.toMatchObject({ code: 'frozen' })
        expect(await broken(log, notes)).toEqual([])
        expect(await complaints(log)).toEqual([])
      })
    }

    beforeEach(() => using(place, ({ log }) => log.freeze()))

    test('is restored up to its end, and stays ended', async () => {
      await copyFile(signerOf(place), signerOf(backup))
      expect(await restored(backup)).toMatchObject({ from: 20, size: 90 })
      await expectEnded(backup)
      expect(await restored(backup)).toMatchObject({ from: 90, size: 90 })
    })

    test('is restored to nothing that its key signed afterwards', async () => {
      // Ended at 20 entries, says the record; and here are 90 of them.
      notes = []
      await using(backup, ({ log }) => log.freeze())
      await expect(restored(backup)).rejects.toMatchObject({
        code: 'frozen',
        message: expect.stringMatching(/ended at 20 entries, and its key has signed the 90 of/),
      })
      await expectEnded(backup)
    })

    test('has its map made anew, and stays ended', async () => {
      await rebuilt(place, sql`delete from map_bucket`)
      await expectEnded(place)
    })
  })

  describe('the name map', () => {
    const DAMAGE = [
      ['histories', sql`update name set history = substr(history, 1, 57)`],
      ['names', sql`delete from name where kind = 1`],
      ['zones and states', sql`update name set kind = 3 - kind, zone = zone + 1, latest = name`],
      ['buckets', sql`update map_bucket set data = data || data`],
      ['key sets', sql`delete from zone_keys`],
    ] as const

    test.each(DAMAGE)('with damaged %s is made anew', async (_, damage) => {
      const { names, size } = await rebuilt(place, damage)
      expect(names).toBeGreaterThan(50)
      expect(size).toBeGreaterThan(50)
      await expectSound(place)
    })

    test('halfway made is no log to be opened', async () => {
      for (const point of ['rebuild.emptied', 'rebuild.unit']) {
        const off = atTestPoint((name) => {
          if (name === point) throw new Dies()
        })
        const options = await openPlace(place, now)
        onTestFinished(() => options.db.close())
        await expect(rebuildMap(options, backend)).rejects.toThrow(Dies)
        off()
        await options.db.close()
        if (point === 'rebuild.unit') break
        await expect(TestLog.open({ place, clock: now })).rejects.toMatchObject({ code: 'corrupt' })
      }
      const options = await openPlace(place, now)
      onTestFinished(() => options.db.close())
      await rebuildMap(options, backend)
      await options.db.close()
      await expectSound(place)
    })

    test('is not made of damaged entries', async () => {
      const options = await openPlace(place, now)
      try {
        await damage(options.db, `update bundle set ${flip('data', '700')}`)
        await expect(rebuildMap(options, backend)).rejects.toThrow(/entr|bundle/)
        const { rows } = await sql`select key from name limit 1`.execute(options.db.kysely)
        expect(rows).toHaveLength(1)
      } finally {
        await options.db.close()
      }
    })
  })
})
