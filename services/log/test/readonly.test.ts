/**
 * Processes that serve what another one writes, on a real server and under the role of a reader: they show
 * the same, refuse what they cannot do, and believe the tables no more than they have to.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { fromBase64, toBase64 } from '@dslog/tlog/bytes'
import { HASH_SIZE } from '@dslog/tlog/hash'
import { formatVkey } from '@dslog/tlog/key'
import { verifierOf } from '@dslog/tlog/cosignature'
import { signNote } from '@dslog/tlog/note'
import { ALGORITHM } from '@dslog/dnssec/backend/backend'
import { nameFromText } from '@dslog/dnssec/name'
import type { LogTables } from '@dslog/schema/db'
import { LOG_GRANTS, readGrants } from '@dslog/schema/grants'
import { LOG_MIGRATIONS } from '@dslog/schema/migrate'
import { MapKind } from '@dslog/schema/identity'
import { HOUR } from '@dslog/schema/time'
import { readConfig } from '@dslog/service/config'
import { type Database, openDatabase } from '@dslog/service/db'
import { grantTo } from '@dslog/service/grants'
import { migrate } from '@dslog/service/migrate'
import { Lifecycle } from '@dslog/service/run'
import { Internet } from '@dslog/testbed/internet'
import { ownerDs } from '@dslog/testbed/stories'
import { keyOf, type Place, Places, policyOf } from '../../../test/place.ts'
import { asRole, makeRoles } from '../../../test/role.ts'
import { silent } from '../../../test/silent.ts'
import { observe, TestLog } from '../../../test/testlog.ts'
import { LOG_CONFIG, type LogConfig } from '../src/config.ts'
import { Follower } from '../src/follower.ts'
import { noteSignerOf } from '../src/key.ts'
import { LOG_FILES, LOG_SCHEMA } from '../src/files.ts'
import { openReader, readService } from '../src/readonly.ts'
import { LogReader } from '../src/reader.ts'

test('an embedded database has no readers beside its log', async () => {
  const { log: config } = readConfig({ log: LOG_CONFIG }, { DSLOG_DATA: '/nowhere' })
  await expect(openReader({ config, logger: silent })).rejects.toThrow(/needs DATABASE_URL/)
})

const places = await Places.open(['postgres'])
afterAll(() => places.close())

describe.skipIf(places.postgres?.owned !== true)('a process that only reads', () => {
  const net = new Internet()
  const fi = net.addZone('fi.', { algorithm: ALGORITHM.ED25519 })
  const { now } = net.clock
  const owner = nameFromText('a.fi.')
  let place: Place
  /** Of the reader: it holds a policy and no key. */
  let folder: string
  let log: TestLog
  let generation = 0
  const running: Lifecycle[] = []
  const open: { close(): Promise<void> }[] = []

  function urlOf(role: string): string {
    return asRole(place.env['DATABASE_URL']!, role)
  }

  function configOf(env: Readonly<Record<string, string>> = {}): LogConfig {
    const own = {
      DSLOG_DATA: folder,
      DSLOG_ANCHORS: place.env['DSLOG_ANCHORS']!,
      DATABASE_URL: urlOf('dslog_log_reader'),
      DSLOG_LOG_PORT: '0',
      DSLOG_LOG_RATE_LIMIT: '100000',
    }
    return readConfig({ log: LOG_CONFIG }, { ...own, ...env }).log
  }

  async function as(role: string): Promise<Database<LogTables>> {
    const db = await openDatabase<LogTables>({
      url: urlOf(role),
      folder,
      schema: LOG_SCHEMA,
      poolSize: 3,
    })
    open.push(db)
    return db
  }

  async function grow(trees = 1): Promise<void> {
    for (let i = 0; i < trees; i++) {
      net.clock.advance(HOUR)
      fi.delegate(owner, [ownerDs(owner, ++generation)])
      await log.submit(observe(net, owner))
    }
  }

  /** A reader as a service, at a URL. */
  async function serve(): Promise<string> {
    const service = readService({ config: configOf(), logger: silent })
    const lifecycle = new Lifecycle(service.components, silent)
    running.push(lifecycle)
    await lifecycle.start()
    return `http://127.0.0.1:${service.port()}`
  }

  async function follow(): Promise<Follower> {
    const db = await as('dslog_log_reader')
    const anchors = log.options.anchors
    return Follower.open({ db, verifiers: [verifierOf(keyOf())], anchors })
  }

  async function text(url: string): Promise<string> {
    const answer = await fetch(url)
    expect(answer.status, url).toBe(200)
    return answer.text()
  }

  beforeAll(async () => {
    place = await places.make('postgres', net.anchors)
    folder = await mkdtemp(join(tmpdir(), 'dslog-reader-'))
    await writeFile(join(folder, LOG_FILES.policy), policyOf())
    await makeRoles(place.env['DATABASE_URL']!, place.data)
  })
  afterAll(async () => {
    await log.close()
    await rm(folder, { recursive: true })
  })
  afterEach(async () => {
    for (const lifecycle of running.splice(0)) await lifecycle.stop()
    for (const db of open.splice(0)) await db.close()
  })

  test('needs tables, a log in them, and a policy of it', async () => {
    const attempt = (env: Record<string, string> = {}): Promise<unknown> =>
      openReader({ config: configOf(env), logger: silent })
    await expect(attempt()).rejects.toMatchObject({ code: 'migration' })
    const tables = await as('dslog_owner')
    await migrate(tables, LOG_MIGRATIONS)
    await grantTo(tables, 'dslog_log', LOG_GRANTS)
    await grantTo(tables, 'dslog_log_reader', readGrants(LOG_GRANTS))
    await expect(attempt()).rejects.toMatchObject({ code: 'missing' })
    const env = { ...place.env, DATABASE_URL: urlOf('dslog_log') }
    log = await TestLog.open({ place: { ...place, env }, clock: now })
    await grow(3)

    const other = join(folder, 'other')
    await writeFile(other, policyOf('log.example/other'))
    await expect(attempt({ DSLOG_LOG_POLICY: other })).rejects.toMatchObject({
      code: 'key',
      message: expect.stringContaining('the policy is for log.example/other'),
    })
    await expect(attempt({ DSLOG_LOG_POLICY: `${other}x` })).rejects.toMatchObject({ code: 'key' })
    await (await openReader({ config: configOf(), logger: silent })).close()
  })

  test('answers what the log would, and follows it', async () => {
    const url = await serve()
    const paths = [
      '/v1/entries?start=0&limit=20',
      '/v1/entries/3/proof',
      '/v1/names/a.fi./proof',
      '/v1/zones/fi.',
      '/v1/zones/fi./names',
      '/v1/zones/fi./proof',
      '/v1/changes?after=0',
      '/v1/proofs/inclusion?index=2',
      '/v1/proofs/consistency?from=1&to=4',
      '/openapi.json',
      '/metrics',
      '/',
    ]
    for (let round = 0; round < 2; round++) {
      const { published } = log.log
      await expect.poll(() => text(`${url}/checkpoint`)).toBe(published.note)
      expect(JSON.parse(await text(`${url}/v1/names/a.fi.`))).toMatchObject({
        size: published.size,
        present: true,
        history: Array.from({ length: generation }, () => ({ name: 'a.fi.' })),
        proof: { checkpoint: published.note },
      })
      expect(await text(`${url}/v1/names/a.fi./proof`)).toBe(
        await log.reader.nameProofFile(MapKind.delegation, owner),
      )
      const tile = await fetch(`${url}/tile/0/000.p/${published.size}`)
      expect(Buffer.from(await tile.arrayBuffer())).toEqual(
        Buffer.from((await log.reader.tile(0, 0, published.size))!.data),
      )
      for (const path of paths) await text(url + path)
      for (const path of ['/v1/checkpoint', '/v1/proofs/inclusion?index=2']) {
        // Of this tree, also where it was asked of the one before, and a second time.
        for (let i = 0; i < 2; i++) {
          expect(JSON.parse(await text(url + path)), path).toMatchObject({
            size: published.size,
            root: toBase64(published.root),
          })
        }
      }
      expect((await fetch(`${url}/v1/entries/${published.size}`)).status).toBe(404)
      await grow(2)
    }
    expect(JSON.parse(await text(`${url}/v1/log`))).toMatchObject({
      origin: log.log.origin,
      vkeys: [formatVkey(keyOf())],
      policy: expect.stringContaining(formatVkey(keyOf())),
      frozen: false,
    })
    expect(await text(`${url}/readyz`)).toContain('following')
  })

  test('tells a stream of changes as they are published', async () => {
    const url = await serve()
    const end = new AbortController()
    const { body } = await fetch(`${url}/v1/changes?after=${log.log.size}`, {
      headers: { accept: 'text/event-stream' },
      signal: end.signal,
    })
    await grow()
    const { value } = await body!.getReader().read()
    expect(new TextDecoder().decode(value)).toMatch(/^id: \d+\nevent: change\ndata: .*"a\.fi\."/)
    end.abort()
  })

  test('refuses evidence, whatever it is, and says why', async () => {
    const url = await serve()
    const { size } = log.log
    for (const body of [JSON.stringify({ observations: [observe(net, owner)] }), '{', '']) {
      const headers = { 'content-type': 'application/json', authorization: 'Bearer x' }
      const answer = await fetch(`${url}/v1/observations`, { method: 'POST', headers, body })
      expect(answer.status).toBe(503)
      expect(answer.headers.get('content-type')).toMatch(/^application\/problem\+json/)
      expect(await answer.json()).toMatchObject({
        type: 'urn:dslog:problem:read-only',
        title: 'This process only reads what another one writes',
        detail: expect.stringContaining('Submit to'),
      })
    }
    expect(log.log.size).toBe(size)
  })

  test('answers from a tree whose map is pruned by going on to the newest', async () => {
    const follower = await follow()
    const reader = new LogReader(follower, await as('dslog_log_reader'))
    const before = follower.published.size
    await grow(3)
    expect(follower.published.size).toBe(before)
    const answer = await reader.name(MapKind.delegation, owner)
    expect(answer.tree.size).toBe(log.log.size)
    expect(answer.history).toHaveLength(generation)
  })

  test('shows nothing that the log has not signed, and nothing older than it has shown', async () => {
    const follower = await follow()
    const { note } = follower.published
    const { published } = log.log
    const row = await log.log.store.published()
    const show = async (change: object): Promise<void> => {
      await log.db.kysely.updateTable('published').set(change).execute()
    }
    const other = toBase64(new Uint8Array(HASH_SIZE).fill(7))
    const signed = (size: number, key = keyOf(), root = toBase64(published.root)): string =>
      signNote(`${log.log.origin}\n${size}\n${root}\n`, [noteSignerOf(key, now)])
    for (const [change, code] of [
      [{ note: note.replace(/.{8}=\n$/, 'AAAAAAAA=\n') }, 'bad-signature'],
      [{ note: signed(published.size, keyOf('log.example/other')) }, 'unverified'],
      [{ note: signed(published.size + 1) }, 'corrupt'],
      [{ note: signed(published.size - 1), size: published.size - 1 }, 'behind'],
      // Its own key signs another tree: whatever the reason, nobody is shown that here.
      [{ note: signed(published.size, keyOf(), other), root: fromBase64(other) }, 'forked'],
    ] as const) {
      await show(change)
      const looked = follower.look().catch((error: unknown) => error)
      expect(await looked).toMatchObject({ code })
      await show(row!)
      expect(follower.published.note).toBe(note)
    }
    await grow()
    await follower.look()
    expect(follower.published.note).toBe(log.log.published.note)
  })

  test('goes on showing what it knows while the server is away', async () => {
    const url = await serve()
    const checkpoint = await text(`${url}/checkpoint`)
    await places.postgres!.crash()
    expect(await text(`${url}/checkpoint`)).toBe(checkpoint)
    // The log died with its server; a new one goes on, and so does the reader.
    await log.close().catch(() => {})
    const env = { ...place.env, DATABASE_URL: urlOf('dslog_log') }
    log = await TestLog.open({ place: { ...place, env }, clock: now })
    await grow()
    await expect.poll(() => text(`${url}/checkpoint`)).toBe(log.log.published.note)
    expect((await fetch(`${url}/v1/names/a.fi.`)).status).toBe(200)
  })

  test('tells that the log has ended', async () => {
    const url = await serve()
    await log.log.freeze()
    await expect
      .poll(async () => JSON.parse(await text(`${url}/v1/log`)) as object)
      .toMatchObject({ frozen: true })
    await log.log.refresh()
    expect((await follow()).isFrozen).toBe(true)
  })
})
