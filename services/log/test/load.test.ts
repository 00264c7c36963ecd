import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { toHex } from '@dslog/tlog/bytes'
import { nodeBackend } from '@dslog/dnssec/backend/node'
import { ALGORITHM } from '@dslog/dnssec/backend/backend'
import { type Name, nameFromText } from '@dslog/dnssec/name'
import type { Observation, SubmitResult } from '@dslog/schema/api'
import { DAY, HOUR } from '@dslog/schema/time'
import { FoldTables } from '@dslog/service/foldtables'
import { TEST_EPOCH } from '@dslog/testbed/clock'
import { Internet } from '@dslog/testbed/internet'
import { ownerDs } from '@dslog/testbed/stories'
import { Places } from '../../../test/place.ts'
import { complaints, observe, openPlace, TestLog } from '../../../test/testlog.ts'
import { Admitter } from '../src/admit.ts'
import { Loader } from '../src/load.ts'
import { createLog } from '../src/create.ts'
import { Log, type LogOptions } from '../src/log.ts'
import { ZoneList } from '../src/zones.ts'
import { emptied } from './emptied.ts'

const places = await Places.open()
afterAll(() => places.close())

describe.each(places.kinds)('a load on %s', (kind) => {
  const net = new Internet()
  const fi = net.addZone('fi.', { algorithm: ALGORITHM.ED25519 })
  let generation = 0
  let options: LogOptions

  beforeAll(async () => {
    options = await openPlace(await places.make(kind, net.anchors), net.clock.now)
  })
  afterAll(() => options.db.close())
  beforeEach(async () => {
    net.clock.set(TEST_EPOCH + ++generation * DAY)
    options = await emptied(options)
  })

  function names(count: number, first = 0): Name[] {
    return Array.from({ length: count }, (_, i) => nameFromText(`name${first + i}.fi.`))
  }

  function evidence(owners: readonly Name[]): Observation[] {
    net.clock.advance(HOUR)
    generation++
    for (const owner of owners) fi.delegate(owner, [ownerDs(owner, generation)])
    return owners.map((owner) => observe(net, owner))
  }

  async function load(
    ...submissions: readonly (readonly Observation[])[]
  ): Promise<{ loader: Loader; results: SubmitResult[][] }> {
    const loader = await Loader.open(options)
    const { log } = loader
    onTestFinished(() => log.close())
    const { clock } = options
    const backend = nodeBackend()
    const admitter = new Admitter({ log, sink: loader, zones: new ZoneList(), backend, clock })
    const results: SubmitResult[][] = []
    for (const observations of submissions) results.push(await admitter.submit(observations))
    return { loader, results }
  }

  async function finish({ loader }: { loader: Loader }): Promise<void> {
    await loader.finish()
    await loader.log.close()
  }

  async function checkSound(): Promise<TestLog> {
    const test = await TestLog.over(options, { clock: net.clock.now })
    onTestFinished(() => test.log.close())
    expect(await complaints(test)).toEqual([])
    return test
  }

  test('leaves what sequencing leaves, but for the MAP_HEADs between', async () => {
    const submissions = [evidence(names(300)), evidence(names(20, 290)), evidence(names(5))]
    const loaded = await load(...submissions)
    expect(loaded.results.flat().every(({ status }) => status === 'logged')).toBe(true)
    await finish(loaded)
    const test = await checkSound()
    const { size, upper } = test.log.published
    expect(size).toBe(1 + 2 + 325 + 1)
    // The same keys have the same values: the map does not show how it was made.
    expect(await test.reader.zoneCounts(fi.name)).toEqual({ names: 310, signed: 310 })
    expect(toHex(upper.root())).toBe(toHex(test.log.tree.map_root))
    // And it goes on as a log that was not loaded.
    const more = await test.submit(...evidence(names(3)))
    expect(more.map(({ status }) => status)).toEqual(['logged', 'logged', 'logged'])
    expect(await complaints(test)).toEqual([])
  })

  test('of a log that is fresh, or was interrupted, is due; of another it is not', async () => {
    expect(await Loader.isDue(options)).toBe(true)
    await createLog(options)
    expect(await Loader.isDue(options)).toBe(true)
    const loaded = await load(evidence(names(2)))
    expect(await Loader.isDue(options)).toBe(true)
    await loaded.loader.log.close()
    await expect(Log.open(options)).rejects.toMatchObject({ code: 'unfinished-load' })
    await finish(await load())
    expect(await Loader.isDue(options)).toBe(false)
    await (await checkSound()).log.close()
    expect(await Loader.isDue(options)).toBe(false)
  })

  test('that was interrupted goes on, and adds nothing twice', async () => {
    const [first, second] = [evidence(names(30)), evidence(names(30, 20))]
    const interrupted = await load(first)
    await interrupted.loader.log.close()
    const again = await load(first, second)
    expect(again.results[0]!.every(({ status }) => status === 'known')).toBe(true)
    expect(again.results[1]!.every(({ status }) => status === 'logged')).toBe(true)
    await finish(again)
    const test = await checkSound()
    expect(test.log.size).toBe(1 + 2 + 60 + 1)
  })

  test('that cannot read what is stored lets go of the log', async () => {
    await createLog(options)
    const lost = new Error('the connection is lost')
    const pages = vi.spyOn(FoldTables.prototype, 'pages').mockImplementationOnce(() => {
      throw lost
    })
    onTestFinished(() => pages.mockRestore())
    await expect(Loader.open(options)).rejects.toBe(lost)
    await finish(await load(evidence(names(2))))
    await checkSound()
  })

  test('that was interrupted while its map was built', async () => {
    const interrupted = await load(evidence(names(50)))
    await interrupted.loader.buildMap()
    await interrupted.loader.log.close()
    await finish(await load(evidence(names(5, 40))))
    await checkSound()
  })

  test('of nothing signs the log as it is', async () => {
    await finish(await load())
    const test = await checkSound()
    expect(test.log.size).toBe(1)
  })

  test('covers nothing by a MAP_HEAD that is older, though the clock went back', async () => {
    await createLog(options)
    const interrupted = await load(evidence(names(3)))
    await interrupted.loader.log.close()
    net.clock.set(net.clock.now() - HOUR / 2)
    await finish(await load())
    await checkSound()
  })

  test('of the past and of the present', async () => {
    const owners = names(4)
    const at = net.clock.now() + HOUR
    const past = evidence(owners).map((one) => ({ ...one, historical: true, observed_at: at }))
    net.clock.advance(DAY)
    const loaded = await load(past, evidence(owners))
    expect(loaded.results.flat().map(({ status }) => status)).toEqual(Array(8).fill('logged'))
    await finish(loaded)
    await checkSound()
  })
})
