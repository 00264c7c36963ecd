import { afterAll, expect, test } from 'vitest'
import { nameFromText } from '@dslog/dnssec/name'
import { Internet } from '@dslog/testbed/internet'
import { Places } from '../../../test/place.ts'
import { complaints, observe, TestLog } from '../../../test/testlog.ts'

const places = await Places.open()
afterAll(() => places.close())

test.each(places.kinds)('a tree on %s', async (kind) => {
  const net = new Internet()
  const fi = net.addZone('fi.')
  const owner = nameFromText('example.fi.')
  fi.delegate(owner, fi.dsRecords())
  const place = await places.make(kind, net.anchors)
  const log = await TestLog.open({ place, clock: net.clock.now })
  expect(await log.submit(observe(net, owner))).toMatchObject([{ status: 'logged', index: 3 }])
  expect(await complaints(log)).toEqual([])
  await log.close()
})
