/** The name map in a million buckets (depth 20), as the largest logs have it: nothing that is signed shows the depth. */
import { afterAll, describe, expect, onTestFinished, test } from 'vitest'
import { toHex } from '@dslog/tlog/bytes'
import { MAX_DEPTH } from '@dslog/tlog/mapbucket'
import { ALGORITHM } from '@dslog/dnssec/backend/backend'
import { nameFromText, nameToText } from '@dslog/dnssec/name'
import { MapKind } from '@dslog/schema/identity'
import { Internet } from '@dslog/testbed/internet'
import { ownerDs } from '@dslog/testbed/stories'
import { Places } from '../../../test/place.ts'
import { MAP_DEPTH } from '@dslog/service/maptables'
import { complaints, observe, openPlace, TestLog } from '../../../test/testlog.ts'
import { createLog } from '../src/create.ts'

const places = await Places.open()
afterAll(() => places.close())

const net = new Internet()
net.addZone('fi.', { algorithm: ALGORITHM.ED25519 })
const clock = net.clock.now
const owners = Array.from({ length: 60 }, (_, i) => {
  const owner = nameFromText(`name${i}.fi.`)
  net.parentOf(owner).delegate(owner, [ownerDs(owner)])
  return owner
})
const observations = owners.map((owner) => observe(net, owner))

/** A new log of this depth. */
async function logOf(depth: number): Promise<TestLog> {
  const options = await openPlace(await places.make(places.kinds.at(-1)!, net.anchors), clock)
  onTestFinished(() => options.db.close())
  await createLog(options)
  await options.db.kysely.updateTable('tree').set({ map_depth: depth }).execute()
  const log = await TestLog.over(options, { clock })
  onTestFinished(() => log.log.close())
  return log
}

describe(`a log with a map of depth ${MAX_DEPTH}`, () => {
  test('signs what one of the usual depth signs, and proves and is sound after a restart', async () => {
    const usual = await logOf(MAP_DEPTH)
    let deep = await logOf(MAX_DEPTH)
    expect(deep.log.tree.map_depth).toBe(20)
    for (let from = 0; from < observations.length; from += 20) {
      const some = observations.slice(from, from + 20)
      for (const log of [usual, deep]) {
        expect(new Set((await log.submit(...some)).map(({ status }) => status))).toEqual(
          new Set(['logged']),
        )
      }
      expect(toHex(deep.log.tree.map_root)).toBe(toHex(usual.log.tree.map_root))
    }
    await deep.log.close()
    deep = await TestLog.over(deep.options, { clock })
    onTestFinished(() => deep.log.close())
    expect(await complaints(deep)).toEqual([])
    for (const owner of [...owners.slice(0, 20), nameFromText('absent.fi.')]) {
      const [one, other] = await Promise.all(
        [usual, deep].map(({ reader }) => reader.name(MapKind.delegation, owner)),
      )
      const name = nameToText(owner)
      expect(toHex(one!.mapProof), name).toBe(toHex(other!.mapProof))
      expect(one!.history, name).toEqual(other!.history)
    }
  })
})
