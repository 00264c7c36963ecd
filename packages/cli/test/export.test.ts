import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { LyingLog } from '@dslog/testbed/lyinglog'
import { filesIn, World } from './world.ts'

let world: World
beforeAll(async () => {
  world = await World.make()
})
afterAll(() => world.close())

let made = 0
const place = () => join(world.folder, `export${made++}`)

/** Files of a log's newest tree, without older partial ones. */
function newest(log: LyingLog): Map<string, Uint8Array> {
  const partial = (path: string) => /^(.*)\.p\/\d+$/.exec(path)?.[1]
  const paths = [...log.files.keys()]
  return new Map(
    [...log.files].filter(([path]) => {
      const tile = partial(path)
      if (tile === undefined) return true
      return !log.files.has(tile) && paths.findLast((p) => partial(p) === tile) === path
    }),
  )
}

describe('dslog export', () => {
  it('writes the files of the log, byte for byte, and nothing else', async () => {
    const log = world.log()
    const folder = place()
    const { code, events } = await world.call(log, 'export', folder)
    expect(code).toBe(0)
    const files = await filesIn(folder)
    expect(files).toEqual(newest(log))
    expect(events).toEqual([
      {
        event: 'exported',
        folder,
        origin: log.origin,
        size: world.scribe.size,
        tiles: [...files.keys()].filter((path) => /^tile\/\d/.test(path)).length,
        bundles: [...files.keys()].filter((path) => path.startsWith('tile/entries/')).length,
      },
    ])
  })

  it('goes on where it was, and fetches nothing twice', async () => {
    const folder = place()
    await world.call(world.log(world.trees[2]), 'export', folder)
    const before = await filesIn(folder)
    const log = world.log()
    const { code, events } = await world.call(log, 'export', folder)
    expect(code).toBe(0)
    expect(events[0]).toMatchObject({ size: world.scribe.size, bundles: 1 })
    expect(log.asked).not.toContain('tile/entries/000')
    // Files of the older tree stay: somebody may be reading it.
    const files = await filesIn(folder)
    for (const [path, data] of newest(log)) expect(files.get(path)).toEqual(data)
    for (const path of before.keys()) expect(files.has(path)).toBe(true)

    const again = await world.call(log, 'export', folder)
    expect(again.events[0]).toMatchObject({ size: world.scribe.size, tiles: 0, bundles: 0 })
  })

  it('makes a log that can be audited', async () => {
    const folder = place()
    await world.call(world.log(), 'export', folder)
    expect(await world.call(await world.copyIn(folder), 'audit')).toMatchObject({ code: 0 })
  })

  it.each(['tile/0/000', 'tile/entries/000'])(
    'writes no checkpoint over a wrong %s',
    async (path) => {
      const folder = place()
      const log = world.log()
      log.flip(path, 700)
      const { code, stderr } = await world.call(log, 'export', folder)
      expect(code).toBe(1)
      expect(stderr).toMatch(/^dslog: [^\n]+\n$/)
      expect((await filesIn(folder)).has('checkpoint')).toBe(false)
    },
  )

  it('does not let a log take back what was exported', async () => {
    const folder = place()
    await world.call(world.log(world.trees[3]), 'export', folder)
    const before = await filesIn(folder)
    const shorter = await world.call(world.log(world.trees[2]), 'export', folder)
    expect(shorter.code).toBe(3)
    expect(shorter.stderr).toMatch(/an older copy/)
    const fork = world.log().fork(20)
    fork.append(...world.scribe.entries.slice(21))
    fork.sign()
    const forked = await world.call(fork, 'export', folder)
    expect(forked.code).toBe(1)
    expect(forked.stderr).toMatch(/exclude each other/)
    expect(await filesIn(folder)).toEqual(before)
  })

  it('does not mix logs', async () => {
    const folder = place()
    await world.call(world.log(), 'export', folder)
    await writeFile(join(folder, 'checkpoint'), 'something else')
    expect(await world.call(world.log(), 'export', folder)).toMatchObject({ code: 1 })
  })
})
