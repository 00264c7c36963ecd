import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { LyingLog } from '@dslog/testbed/lyinglog'
import { World } from './world.ts'

let world: World
let older: LyingLog
let newer: LyingLog
beforeAll(async () => {
  world = await World.make()
  older = world.log(world.trees[1])
  newer = world.log()
})
afterAll(() => world.close())

let made = 0
/** The checkpoint of a log, in a file. */
async function checkpointOf(log: LyingLog): Promise<string> {
  const path = join(world.folder, `checkpoint${made++}`)
  await writeFile(path, log.files.get('checkpoint')!)
  return path
}

describe('dslog consistency', () => {
  it('of two files asks the log for its tiles', async () => {
    const args = [await checkpointOf(older), await checkpointOf(newer)]
    const { code, events } = await world.call(newer, 'consistency', ...args)
    expect(code).toBe(0)
    expect(events).toEqual([
      {
        event: 'consistent',
        old: { origin: newer.origin, size: world.trees[1], root: expect.any(String) },
        new: { origin: newer.origin, size: world.scribe.size, root: expect.any(String) },
      },
    ])
  })

  it('takes URLs of checkpoints and of logs', async () => {
    const [a, b] = await Promise.all([world.serve(older), world.serve(newer)])
    for (const end of ['', '/', '/checkpoint']) {
      const called = await world.call(newer, 'consistency', a.url + end, b.url + end)
      expect(called).toMatchObject({ code: 0 })
    }
  })

  it('of one tree is given', async () => {
    const path = await checkpointOf(newer)
    expect(await world.call(newer, 'consistency', path, path)).toMatchObject({ code: 0 })
  })

  it('shows both notes of a fork, of other size or the same', async () => {
    const fork = older.fork(20)
    fork.append(...world.scribe.entries.slice(21))
    fork.sign()
    const twin = older.fork(20)
    twin.append(...world.scribe.entries.slice(21), world.scribe.entries[20]!)
    twin.sign()
    expect(twin.size).toBe(newer.size)
    for (const log of [fork, twin]) {
      const args = [await checkpointOf(older), await checkpointOf(log)]
      const { code, events, stderr } = await world.call(log, 'consistency', ...args)
      expect(code).toBe(1)
      expect(stderr).toMatch(/^dslog: .* signed two trees[^\n]* that exclude each other\n$/)
      const note = (of: LyingLog) => new TextDecoder().decode(of.files.get('checkpoint'))
      expect(events).toEqual([
        { event: 'fork', detail: expect.any(String), old: note(older), new: note(log) },
      ])
    }
    const args = [await checkpointOf(newer), await checkpointOf(twin)]
    expect(await world.call(newer, 'consistency', ...args)).toMatchObject({
      code: 1,
      events: [{ event: 'fork' }],
    })
  })

  it('in the wrong order is a rollback', async () => {
    const args = [await checkpointOf(newer), await checkpointOf(older)]
    const { code, events } = await world.call(newer, 'consistency', ...args)
    expect(code).toBe(1)
    expect(events).toMatchObject([{ event: 'rollback' }])
  })

  it('believes no checkpoint that the policy does not', async () => {
    const path = join(world.folder, 'forged')
    const note = new TextDecoder().decode(newer.files.get('checkpoint'))
    await writeFile(path, note.replace(String(world.scribe.size), '1000'))
    const called = await world.call(newer, 'consistency', await checkpointOf(older), path)
    expect(called).toMatchObject({ code: 1, events: [] })
    expect(called.stderr).toContain(`dslog: ${path}: `)
    await writeFile(path, Uint8Array.of(0xff, 0xfe))
    const garbage = await world.call(newer, 'consistency', await checkpointOf(older), path)
    expect(garbage).toMatchObject({ code: 1, events: [] })
    expect(garbage.stderr).toBe(`dslog: ${path}: a checkpoint is UTF-8\n`)
  })

  it('needs files that are there', async () => {
    const called = await world.call(newer, 'consistency', '/nonexistent', '/nonexistent')
    expect(called).toMatchObject({ code: 2 })
  })
})
