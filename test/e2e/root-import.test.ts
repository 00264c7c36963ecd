/** The main job on real data: ten root zones in, their changes out, into a folder and through the API. */
import { afterAll, describe, expect, it, onTestFinished } from 'vitest'
import { dslog, expectFollowed, Folders, HAS_DATA, Up } from './dslog.ts'
import { ALL, expectChanges, ROOT_ZONES, summaryOf } from './root-zones.ts'

const folders = new Folders()
afterAll(() => folders.remove())

async function expectNothingNew(...args: string[]) {
  const again = await dslog(['import', '--json', ...args, ...ROOT_ZONES])
  expect(again).toMatchObject({ code: 0, stderr: '' })
  expect(again.events).toEqual([
    expect.objectContaining({
      event: 'summary',
      files: 10,
      entries: 0,
      changes: 0,
      unverifiable: 0,
    }),
  ])
}

describe.skipIf(!HAS_DATA)('ten root zones', () => {
  it('go into a folder', async () => {
    const data = folders.make()
    const first = await dslog(['import', '--json', '--data', data, ...ROOT_ZONES])
    expect(first).toMatchObject({ code: 0, stderr: '' })
    expectChanges(first.events)
    const summary = summaryOf(first.events)
    expect(summary).toMatchObject(ALL)
    // Leaf 0, the entries, and the MAP_HEAD that ends the load.
    expect(summary['size']).toBe(Number(summary['entries']) + 2)
    await expectNothingNew('--data', data)

    const checked = await dslog(['fsck', '--json', '--data', data])
    expect(checked).toMatchObject({ code: 0, stderr: '' })
    expect(checked.events).toMatchObject([{ event: 'summary', size: summary['size'], problems: 0 }])
  })

  it('go through the API, beside a running `up`', async () => {
    const data = folders.make()
    const service = await Up.start(data)
    onTestFinished(() => service.kill())
    const first = await dslog(['import', '--json', '--data', data, ...ROOT_ZONES])
    expect(first).toMatchObject({ code: 0, stderr: '' })
    expectChanges(first.events)
    expect(summaryOf(first.events)).toMatchObject(ALL)
    await expectNothingNew('--data', data)
    await expectFollowed(service, Number(summaryOf(first.events)['size']))
    expect(await service.stop()).toEqual({ code: 0, stderr: '' })
  })
})
