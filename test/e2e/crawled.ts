/** What the tests of crawls have in common: where they open their worlds, and the DS records of their names. */
import { afterAll, afterEach, beforeAll } from 'vitest'
import type { Anchor } from '@dslog/dnssec/anchors'
import { type Name, nameFromText } from '@dslog/dnssec/name'
import { dsToText } from '@dslog/dnssec/records'
import { ownerDs } from '@dslog/testbed/stories'
import { type CrawlOptions, CrawlWorld } from '../crawl.ts'
import { Places } from '../place.ts'

/** Opens a world with a place of its own, which ends with the test; before what was registered earlier. */
export function crawls(): (
  options: Omit<CrawlOptions, 'place'>,
  anchors?: readonly Anchor[],
) => Promise<CrawlWorld> {
  let places: Places
  let world: CrawlWorld | undefined
  beforeAll(async () => {
    places = await Places.open(['postgres'])
  })
  afterAll(() => places.close())
  afterEach(async () => {
    await world?.close()
    world = undefined
  })
  return async (options, anchors = options.net.anchors) => {
    const place = await places.make(places.kinds[1] ?? 'embedded', anchors)
    world = await CrawlWorld.open({ ...options, place })
    return world
  }
}

/** The DS record of one of the keys that a name has had. */
export function ds(name: Name | string, generation = 1): Uint8Array {
  const owner = typeof name === 'string' ? nameFromText(name) : name
  return ownerDs(owner, generation)
}

/** The same in presentation form, as {@link CrawlWorld.story} has it. */
export function text(name: Name | string, generation = 1): string {
  return dsToText(ds(name, generation))
}
