/** A log as static files, in a folder and in a bucket: what is shown there at any moment can be read whole. */
import { mkdtemp, readdir, readFile, rm, writeFile, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { fromUtf8, toHex, utf8 } from '@dslog/tlog/bytes'
import { LogClient } from '@dslog/tlog/client'
import { verifierOf } from '@dslog/tlog/cosignature'
import { HttpClient } from '@dslog/tlog/http'
import { signNote } from '@dslog/tlog/note'
import { checkPolicy, parsePolicy, type TrustedCheckpoint } from '@dslog/tlog/policy'
import { edgeTiles, TILE_WIDTH, tilePath } from '@dslog/tlog/tile'
import { ALGORITHM } from '@dslog/dnssec/backend/backend'
import { type Name, nameFromText } from '@dslog/dnssec/name'
import { HOUR } from '@dslog/schema/time'
import { Internet } from '@dslog/testbed/internet'
import { ObjectStore, type StoreFault } from '@dslog/testbed/objectstore'
import { ownerDs } from '@dslog/testbed/stories'
import { keyOf, Places, policyOf } from '../../../test/place.ts'
import { silent } from '../../../test/silent.ts'
import { observe, openPlace, TestLog } from '../../../test/testlog.ts'
import { atTestPoint } from '../../../test/testpoint.ts'
import { noteSignerOf } from '../src/key.ts'
import type { LogOptions } from '../src/log.ts'
import { BucketTarget } from '../src/publish/bucket.ts'
import { FolderTarget } from '../src/publish/folder.ts'
import { Publisher } from '../src/publish/publisher.ts'
import type { PublishTarget } from '../src/publish/target.ts'
import { emptied } from './emptied.ts'

const places = await Places.open()
const store = await ObjectStore.start()
const base = await mkdtemp(join(tmpdir(), 'dslog-publish-'))
afterAll(async () => {
  await places.close()
  await store.close()
  await rm(base, { recursive: true })
})

const policy = parsePolicy(policyOf())
const verifiers = [verifierOf(keyOf())]

const net = new Internet()
const fi = net.addZone('fi.', { algorithm: ALGORITHM.ED25519 })
let options: LogOptions
let log: TestLog
let generation = 0
let folders = 0

beforeAll(async () => {
  options = await openPlace(await places.make(places.kinds.at(-1)!, net.anchors), net.clock.now)
})
afterAll(() => options.db.close())
beforeEach(async () => {
  options = await emptied(options)
  log = await TestLog.over(options, { clock: net.clock.now })
  store.objects.clear()
  store.mend()
  store.requests.length = 0
  return () => log.log.close()
})

/** A tree with a new state of each of these names. */
async function grow(count: number): Promise<void> {
  net.clock.advance(HOUR)
  generation++
  const owners = Array.from({ length: count }, (_, i): Name => nameFromText(`name${i}.fi.`))
  for (const owner of owners) fi.delegate(owner, [ownerDs(owner, generation)])
  await log.submit(...owners.map((owner) => observe(net, owner)))
}

function publisherOf(target: PublishTarget, clock?: () => number): Publisher {
  const own = clock === undefined ? {} : { clock }
  return new Publisher({ log: log.log, target, verifiers, logger: silent, ...own })
}

/** One look at the log and the place, as at the end of a process. */
async function publish(target: PublishTarget): Promise<Publisher> {
  const publisher = publisherOf(target)
  await publisher.start(() => {})
  await publisher.stop()
  return publisher
}

/** A place, and its files as the public reads them. */
interface Shown {
  readonly target: PublishTarget
  read(path: string): Promise<Uint8Array | undefined>
  paths(): Promise<string[]>
}

const BUCKET = { region: 'auto', accessKey: 'key', secretKey: 'secret', prefix: 'a/log' }

/** Longest request, ms: longer than a busy machine makes anybody wait. */
const PATIENT = 20_000
/** The same where an answer is not to come. */
const IMPATIENT = 150

const PLACES = {
  folder(): Shown {
    const folder = join(base, `${folders++}`, 'public')
    const target = new FolderTarget(folder)
    return {
      target,
      read: (path) => target.read(path),
      async paths() {
        const files = await readdir(folder, { recursive: true, withFileTypes: true })
        return files
          .filter((file) => file.isFile())
          .map(({ name, parentPath }) => join(parentPath, name).slice(folder.length + 1))
      },
    }
  },
  bucket(timeout = PATIENT): Shown {
    const target = new BucketTarget({ ...BUCKET, endpoint: store.url, timeout })
    return {
      target,
      read: async (path) => store.objects.get(`a/log/${path}`)?.data,
      paths: async () => [...store.objects.keys()].map((key) => key.slice('a/log/'.length)),
    }
  },
}

/** A client of what is shown, which believes nothing. */
function clientOf({ read }: Shown): LogClient {
  const fetch = async (url: string): Promise<Response> => {
    const data = await read(url.slice('http://static.test/'.length))
    return data === undefined
      ? new Response('', { status: 404 })
      : new Response(new Uint8Array(data))
  }
  return new LogClient(
    'http://static.test',
    policy,
    new HttpClient({ fetch, now: Date.now, random: () => 0 }),
  )
}

/** Reads all that is shown; it is some tree that the log has published, whole. */
async function expectWhole(shown: Shown, before?: TrustedCheckpoint): Promise<TrustedCheckpoint> {
  const client = clientOf(shown)
  const tree = before === undefined ? await client.checkpoint() : await client.follow(before)
  const { size } = tree.checkpoint
  const entries: Uint8Array[] = []
  for await (const { entry } of client.entries(0, size, tree)) entries.push(entry)
  const logged = (await log.reader.entries(0, size)).map(({ bytes }) => bytes)
  expect(entries.map(toHex)).toEqual(logged.map(toHex))
  const reader = client.tree(tree)
  for (const { index, level, width } of edgeTiles(size)) await reader.tile(level, index, width)
  return tree
}

describe.each(['folder', 'bucket'] as const)('a log published to a %s', (kind) => {
  test('is there, and goes on tree by tree', async () => {
    const shown = PLACES[kind]()
    let seen: TrustedCheckpoint | undefined
    for (const count of [3, 300, 2, 250, 1]) {
      await grow(count)
      const publisher = await publish(shown.target)
      expect(publisher.state).toMatchObject({ size: log.log.size, failures: 0 })
      expect(publisher.state.behindSince).toBeUndefined()
      seen = await expectWhole(shown, seen)
      expect(seen.note).toBe(log.log.published.note)
    }
    // Partial files of tiles that are full now are gone.
    const partials = (await shown.paths()).filter((path) => path.includes('.p/'))
    const last = `tile/0/${String(Math.floor(log.log.size / TILE_WIDTH)).padStart(3, '0')}.p`
    expect(partials.filter((path) => path.startsWith('tile/0/'))).toSatisfy((paths: string[]) => {
      return paths.length > 0 && paths.every((path) => path.startsWith(last))
    })
  })

  test('writes nothing anew that is there', async () => {
    const shown = PLACES[kind]()
    await grow(300)
    await publish(shown.target)
    const paths = (await shown.paths()).sort()
    const writes = (['put', 'show', 'dropPartials'] as const).map((act) => {
      return vi.spyOn(shown.target, act)
    })
    store.requests.length = 0
    await publish(shown.target)
    for (const write of writes) expect(write).not.toHaveBeenCalled()
    expect(store.requests.filter(({ method }) => method !== 'GET')).toEqual([])
    expect((await shown.paths()).sort()).toEqual(paths)
  })

  test('has the partial files of trees between', async () => {
    const shown = PLACES[kind]()
    await grow(3)
    await publish(shown.target)
    const sizes: number[] = []
    for (const count of [1, 2, 300, 1, 2]) {
      await grow(count)
      sizes.push(log.log.size)
    }
    await publish(shown.target)
    const full = Math.floor(log.log.size / TILE_WIDTH)
    for (const size of sizes.filter((size) => size > full * TILE_WIDTH)) {
      for (const id of edgeTiles(size)) {
        const data = await shown.read(tilePath(id))
        expect(toHex(data!)).toBe(toHex(await log.log.store.tile(id.level, id.index, id.width)))
      }
      const bundle = `tile/entries/${String(full).padStart(3, '0')}.p/${size % TILE_WIDTH}`
      const width = size % TILE_WIDTH
      expect(toHex((await shown.read(bundle))!)).toBe(
        toHex(await log.log.store.bundle(full, width)),
      )
    }
  })

  test('shows a whole tree whenever the process dies', async () => {
    const points = ['publish.tiles', 'publish.bundles', 'publish.dropped', 'publish.shown']
    const shown = PLACES[kind]()
    await grow(3)
    await publish(shown.target)
    let seen = await expectWhole(shown)
    for (const point of points) {
      await grow(point === 'publish.dropped' ? 300 : 2)
      const off = atTestPoint((name) => {
        if (name === point) throw new Error('dies here')
      })
      const publisher = await publish(shown.target).finally(off)
      expect(publisher.state.failures).toBeGreaterThan(0)
      seen = await expectWhole(shown, seen)
    }
    await publish(shown.target)
    seen = await expectWhole(shown, seen)
    expect(seen.note).toBe(log.log.published.note)
  })

  test('is refused to a log that lacks what is shown', async () => {
    const shown = PLACES[kind]()
    await grow(3)
    const { note, size } = log.log.published
    await grow(3)
    await publish(shown.target)
    // An older state of the same log, and another log of the same key.
    const older = await log.log.published.reader.subtreeHash(0, size)
    const stale = { ...log.log.published, note, size, root: older }
    const publisher = new Publisher({
      log: { published: stale, isPublished: true, size, store: log.log.store },
      target: shown.target,
      verifiers,
      logger: silent,
    })
    await expect(publisher.start(() => {})).rejects.toMatchObject({ code: 'behind' })

    await log.log.close()
    log = await TestLog.over(await emptied(options), { clock: net.clock.now })
    await grow(200)
    const forked = publisherOf(shown.target)
    await expect(forked.start(() => {})).rejects.toMatchObject({ code: 'forked' })
    expect(
      checkPolicy(policy, fromUtf8((await shown.read('checkpoint'))!), { now: 0 }),
    ).toBeTruthy()
  })

  test('goes on once what is shown is published again, after a restore', async () => {
    const shown = PLACES[kind]()
    await grow(3)
    const early = log.log.published
    await grow(3)
    await publish(shown.target)
    const before = await shown.read('checkpoint')
    // All entries are back; the tree waits for witnesses.
    const restored = {
      published: early,
      isPublished: true,
      size: log.log.size,
      store: log.log.store,
    }
    let publisher = new Publisher({
      log: restored,
      target: shown.target,
      verifiers,
      logger: silent,
    })
    await publisher.start(() => {})
    await publisher.stop()
    expect(publisher.state).toMatchObject({ failures: 0, size: log.log.size })
    expect(publisher.state.behindSince).toBeDefined()
    expect(await shown.read('checkpoint')).toEqual(before)
    await grow(1)
    publisher = await publish(shown.target)
    expect(publisher.state.behindSince).toBeUndefined()
    const { note } = log.log.published

    // Other entries than those that are shown.
    await log.log.close()
    log = await TestLog.over(await emptied(options), { clock: net.clock.now })
    await grow(1)
    const first = log.log.published
    await grow(9)
    const forked = new Publisher({
      log: { published: first, isPublished: true, size: log.log.size, store: log.log.store },
      target: shown.target,
      verifiers,
      logger: silent,
    })
    await expect(forked.start(() => {})).rejects.toMatchObject({ code: 'forked' })
    expect(fromUtf8((await shown.read('checkpoint'))!)).toBe(note)
  })

  test('stops the log when that comes to light later', async () => {
    const shown = PLACES[kind]()
    await grow(3)
    const publisher = publisherOf(shown.target)
    onTestFinished(() => publisher.stop())
    let failed: unknown
    await publisher.start((error) => (failed = error))
    await expect.poll(() => publisher.state.size).toBe(log.log.size)
    const origin = log.log.origin
    const text = `${origin}\n${log.log.size}\n${'A'.repeat(43)}=\n`
    const fork = signNote(text, [noteSignerOf(keyOf(), Date.now)])
    const held = await shown.target.checkpoint()
    await shown.target.show(fork, held)
    await grow(1)
    await expect.poll(() => failed).toMatchObject({ code: 'forked' })
  })

  test('is not mixed with something else', async () => {
    const shown = PLACES[kind]()
    await shown.target.show('something else', undefined)
    const publisher = publisherOf(shown.target)
    await expect(publisher.start(() => {})).rejects.toMatchObject({ code: 'foreign' })
    expect(await shown.paths()).toEqual(['checkpoint'])
  })

  test('an older checkpoint does not come after a newer one', async () => {
    const shown = PLACES[kind]()
    await grow(2)
    await publish(shown.target)
    const held = await shown.target.checkpoint()
    await grow(2)
    await publish(shown.target)
    // Whoever read before that writes too late.
    await expect(shown.target.show(held!.note, held)).rejects.toMatchObject({ code: 'changed' })
    await expect(shown.target.show(held!.note, undefined)).rejects.toMatchObject({
      code: 'changed',
    })
    expect((await shown.target.checkpoint())?.note).toBe(log.log.published.note)
  })

  test('a file that is not what it should be is replaced', async () => {
    const shown = PLACES[kind]()
    await shown.target.put('tile/0/000.p/4', Uint8Array.of(1, 2, 3))
    await grow(2)
    expect(log.log.size).toBeLessThan(TILE_WIDTH)
    await shown.target.put(`tile/0/000.p/${log.log.size}`, new Uint8Array(5))
    await publish(shown.target)
    await expectWhole(shown)
  })
})

describe('a bucket on bad days', () => {
  const FAULTS: readonly StoreFault[] = ['refused', 'lost', 'persisted', 'torn', 'silent']

  test.each(FAULTS)('requests that end %s, each in turn', async (fault) => {
    const shown = PLACES.bucket()
    const { target } = fault === 'silent' ? PLACES.bucket(IMPATIENT) : shown
    await grow(3)
    await publish(shown.target)
    let seen = await expectWhole(shown)
    for (let after = 0; ; after++) {
      await grow(1)
      store.fail(fault, /^PUT/, after)
      const { failures } = (await publish(target)).state
      const failed = store.pending === 0
      store.mend()
      // Half a checkpoint is what a store must never show; the next attempt mends it.
      if (failed && fault !== 'torn') seen = await expectWhole(shown, seen)
      await publish(shown.target)
      seen = await expectWhole(shown, seen)
      expect(seen.note).toBe(log.log.published.note)
      // Who has no patience may fail for another reason on a busy machine, before it comes to that.
      if (!failed && failures === 0) break
    }
  })

  test('a store that is away holds nothing up, and is caught up with', async () => {
    const shown = PLACES.bucket()
    let now = 0
    const publisher = publisherOf(shown.target, () => now)
    onTestFinished(() => publisher.stop())
    await grow(2)
    for (let i = 0; i < 2; i++) store.fail('refused', /^GET/)
    await publisher.start(() => {})
    await expect.poll(() => publisher.state.failures).toBe(1)
    // The pause after the first failure has not passed: nobody asks.
    const asked = store.requests.length
    await grow(2)
    await sleep(1_200)
    expect(store.requests).toHaveLength(asked)
    expect(publisher.state.behindSince).toBe(0)
    now += HOUR
    await expect.poll(() => publisher.state.failures).toBe(2)
    now += HOUR
    await expect.poll(() => publisher.state.size).toBe(log.log.size)
    expect(publisher.state.failures).toBe(2)
    expect(publisher.state.behindSince).toBeUndefined()
    await publisher.stop()
    await expectWhole(shown)
  })

  test('two publishers: the slower one looks again', async () => {
    const shown = PLACES.bucket()
    await grow(2)
    await publish(shown.target)
    await grow(2)
    const { note } = log.log.published
    let raced = false
    store.onRequest((method, key) => {
      if (raced || method !== 'PUT' || key !== 'a/log/checkpoint') return
      raced = true
      store.set(key, utf8(note), { 'content-type': 'text/plain' })
    })
    const publisher = await publish(shown.target)
    store.onRequest(undefined)
    expect(raced).toBe(true)
    expect(publisher.state).toMatchObject({ failures: 1, size: log.log.size })
    await expectWhole(shown)
  })

  test('lists page by page', async () => {
    const shown = PLACES.bucket()
    for (let i = 1; i <= 12; i++) {
      await shown.target.put(`tile/0/000.p/${i}`, new Uint8Array(32 * i))
    }
    await shown.target.put('tile/0/000', new Uint8Array(8192))
    await shown.target.dropPartials('tile/0/000')
    expect(await shown.paths()).toEqual(['tile/0/000'])
  })

  test('files say how long they may be kept', async () => {
    const shown = PLACES.bucket()
    await grow(1)
    await publish(shown.target)
    for (const [key, { headers }] of store.objects) {
      expect(headers).toEqual(
        key.endsWith('checkpoint')
          ? { 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-store' }
          : {
              'content-type': 'application/octet-stream',
              'cache-control': 'public, max-age=604800, immutable',
            },
      )
    }
  })

  test('a wrong bucket is said to be one', async () => {
    const target = new BucketTarget({ ...BUCKET, endpoint: `${store.url}-of-others` })
    const publisher = publisherOf(target)
    await publisher.start(() => {})
    await publisher.stop()
    expect(publisher.state.failures).toBeGreaterThan(0)
    expect(target.name).not.toContain('secret')
  })
})

test('a folder can be read by a web server, whatever the umask of the service', async () => {
  const umask = process.umask(0o077)
  try {
    const folder = join(base, `${folders++}`, 'public')
    await new FolderTarget(folder).put('tile/0/000', new Uint8Array(32))
    for (const path of ['.', 'tile', 'tile/0']) {
      expect((await stat(join(folder, path))).mode & 0o777, path).toBe(0o755)
    }
    expect((await stat(join(folder, 'tile/0/000'))).mode & 0o777).toBe(0o644)
  } finally {
    process.umask(umask)
  }
})

test('a folder without room or right fails and is tried again', async () => {
  const file = join(base, 'a-file')
  await writeFile(file, '')
  const target = new FolderTarget(join(file, 'public'))
  await grow(1)
  const publisher = await publish(target)
  expect(publisher.state.failures).toBeGreaterThan(0)
  expect(await readFile(file, 'utf8')).toBe('')
})
