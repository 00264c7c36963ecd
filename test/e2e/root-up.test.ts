/** The main job on real data in one step: `up --zone-file`, and what anyone can then verify. */
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, it, onTestFinished } from 'vitest'
import { dslog, expectFollowed, Folders, HAS_DATA, start, Up } from './dslog.ts'
import { ALL, expectChanges, ROOT_ZONES, summaryOf } from './root-zones.ts'

const folders = new Folders()
afterAll(() => folders.remove())

describe.skipIf(!HAS_DATA)('ten root zones', () => {
  it('go in with `up --zone-file`, in one step', async () => {
    const data = folders.make()
    const service = await Up.start(data, ['--zone-file', ...ROOT_ZONES])
    onTestFinished(() => service.kill())
    expectChanges(service.events)
    const summary = summaryOf(service.events)
    expect(summary).toMatchObject(ALL)
    expect(service.events.at(-1)).toMatchObject({
      event: 'ready',
      size: summary['size'],
      log: service.log,
      monitor: service.monitor,
      data,
      policy: join(data, 'policy'),
    })
    await expectFollowed(service, Number(summary['size']))

    const audit = await dslog(['audit', '--json', '--data', data])
    expect(audit).toMatchObject({ code: 0, stderr: '' })
    expect(audit.events).toMatchObject([{ event: 'summary', from: 0, size: summary['size'] }])

    // From an entry on: keys that stand before it are asked of the log.
    const late = await dslog(['audit', '--json', '--data', data, '--from', '3000'])
    expect(late).toMatchObject({ code: 0, stderr: '' })
    expect(late.events).toMatchObject([{ from: 3000, size: summary['size'], names: null }])
    expect(late.events[0]!['unchecked']).toHaveLength(3)

    // Anyone may verify it with the policy alone.
    const policy = join(data, 'policy')
    const stranger = ['--log', service.log, '--policy', policy, '--data', folders.make()]
    const history = await dslog(['history', '--json', ...stranger, 'fi.'])
    expect(history).toMatchObject({ code: 0, stderr: '' })
    expect(history.events.map(({ ds, event }) => ds ?? event)).toEqual([
      [
        '35422 8 2 7282CE618E87E06DF5A21956AA54D02A98B8ADA54253A592A88E6AB94D7C1B0C',
        '37481 8 2 348035176474A7247E7593D2CED09873F42E72FBF823B27328980A1236E75678',
      ],
      ['48592 8 2 8194468A0C3A0D49E2C9C038CFFC79E7190401B454F3C15B12D2FB13DE0D975B'],
      [
        '44855 8 2 80CD184A31C50D5DC44B4F98811F298315986B44EDCC0666455C6AEF7DBD997E',
        '48592 8 2 8194468A0C3A0D49E2C9C038CFFC79E7190401B454F3C15B12D2FB13DE0D975B',
      ],
      ['35221 8 2 D4A489017F68A6C02836D4F126A4B9F6AF34C371993BEE97ED759D83DB9CD38E'],
      'complete',
    ])
    expect(history.events.at(-1)).toMatchObject({ name: 'fi.', size: summary['size'], entries: 4 })

    expect(await service.stop('SIGINT')).toEqual({ code: 0, stderr: '' })
    // The same answer without a service, from the folder.
    const offline = await dslog(['history', '--json', '--data', data, 'fi.'])
    expect(offline.events.slice(0, 4)).toEqual(history.events.slice(0, 4))
  })

  it('stop going in at a signal, after the one that is under way', async () => {
    const data = folders.make()
    const child = start(['up', '--json', '--data', data, '--zone-file', ...ROOT_ZONES])
    child.stdout!.once('data', () => child.kill('SIGINT'))
    const stderr: Buffer[] = []
    child.stderr!.on('data', (chunk: Buffer) => stderr.push(chunk))
    const [code] = (await once(child, 'close')) as [number | null]
    expect(Buffer.concat(stderr).toString()).toBe('stopped: import the other files later\n')
    expect(code).toBe(0)
    expect(existsSync(join(data, 'service.json'))).toBe(false)
    // What went in before is a log, and the rest can follow.
    const checked = await dslog(['fsck', '--json', '--data', data])
    expect(checked).toMatchObject({ code: 0, stderr: '' })
    expect(Number(checked.events[0]!['size'])).toBeGreaterThan(400)
  })
})
