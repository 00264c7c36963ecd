/** A mirror holds what the log has signed and nothing else; what is in the way of that is told, with evidence. */
import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parseVkey } from '@dslog/tlog/key'
import { verifyMisbehaviour } from '@dslog/tlog/misbehaviour'
import { World } from './world.ts'

let world: World
beforeAll(async () => {
  world = await World.make()
})
afterAll(() => world.close())

let made = 0
const place = () => join(world.folder, `mirror${made++}`)

async function flip(path: string, at: number): Promise<void> {
  const data = await readFile(path)
  data[at]! ^= 1
  await writeFile(path, data)
}

describe('dslog mirror', () => {
  it('copies a log that can be audited, and goes on where it was', async () => {
    const folder = place()
    const first = await world.call(world.log(world.trees[2]), 'mirror', folder)
    expect(first).toMatchObject({ code: 0, events: [{ event: 'mirrored' }] })
    const log = world.log()
    const again = await world.call(log, 'mirror', folder)
    expect(again).toMatchObject({ code: 0, events: [{ size: world.scribe.size, bundles: 1 }] })
    expect(log.asked).not.toContain('tile/entries/000')
    expect(await world.call(await world.copyIn(folder), 'audit')).toMatchObject({ code: 0 })
  })

  it('fetches what an interrupted copy lacks, and nothing else', async () => {
    const folder = place()
    await world.call(world.log(), 'mirror', folder)
    // As if it had been stopped before the checkpoint, and before the last files.
    await rm(join(folder, 'checkpoint'))
    await rm(join(folder, 'tile/entries/000'))
    const log = world.log()
    const { code, events } = await world.call(log, 'mirror', folder)
    expect(code).toBe(0)
    expect(events).toMatchObject([{ fetched: 1 }])
    expect(log.asked.filter((path) => path.startsWith('tile/entries'))).toEqual([
      'tile/entries/000',
    ])
    expect(await world.call(await world.copyIn(folder), 'audit')).toMatchObject({ code: 0 })
  })

  it.each([
    ['tile/0/000', 700],
    ['tile/entries/000', 700],
    ['tile/entries/000', 0],
  ])('finds and mends a damaged %s', async (path, at) => {
    const folder = place()
    await world.call(world.log(), 'mirror', folder)
    const right = await readFile(join(folder, path))
    await flip(join(folder, path), at)
    // Nothing is new, so nothing is looked at; unless it is asked for.
    expect(await world.call(world.log(), 'mirror', folder)).toMatchObject({ code: 0 })
    expect((await readFile(join(folder, path))).equals(right)).toBe(false)
    const checked = await world.call(world.log(), 'mirror', '--check', folder)
    expect(checked).toMatchObject({ code: 0, stderr: '' })
    expect((await readFile(join(folder, path))).equals(right)).toBe(true)
    expect(await world.call(await world.copyIn(folder), 'audit')).toMatchObject({ code: 0 })
  })

  it.each(['tile/0/000', 'tile/entries/000'])('shows no tree over a wrong %s', async (path) => {
    const folder = place()
    const log = world.log()
    log.flip(path, 700)
    const { code, stderr } = await world.call(log, 'mirror', folder)
    expect(code).toBe(1)
    expect(stderr).toMatch(/^dslog: [^\n]+\n$/)
    expect(await readdir(folder)).not.toContain('checkpoint')
  })

  it('refuses a fork, keeps the evidence, and stays as it is', async () => {
    const folder = place()
    await world.call(world.log(), 'mirror', folder)
    const before = await readFile(join(folder, 'checkpoint'), 'utf8')
    const fork = world.log().fork(20)
    fork.append(...world.scribe.entries.slice(21), world.scribe.entries[5]!)
    fork.sign()
    const { code, events, stderr } = await world.call(fork, 'mirror', folder)
    expect(code).toBe(1)
    expect(stderr).toMatch(/exclude each other/)
    expect(await readFile(join(folder, 'checkpoint'), 'utf8')).toBe(before)
    const evidence = (await readdir(folder)).find((name) => name.startsWith('evidence-'))
    const kept = JSON.parse(await readFile(join(folder, evidence!), 'utf8')) as {
      origin: string
      kind: string
      evidence: { smaller: string; larger: string }
    }
    expect(events).toMatchObject([{ event: 'misbehaviour', kind: 'fork', origin: fork.origin }])
    expect(kept).toMatchObject({ origin: fork.origin, kind: 'fork' })
    expect([kept.evidence.smaller, kept.evidence.larger]).toContain(before)
    // The same size twice proves itself with the two notes alone.
    const { larger, smaller } = kept.evidence
    verifyMisbehaviour({ kind: 'fork', evidence: { larger, smaller } }, [parseVkey(fork.vkey)])
  })

  it('takes no older tree, and none of another key', async () => {
    const folder = place()
    await world.call(world.log(), 'mirror', folder)
    const back = await world.call(world.log(world.trees[1]), 'mirror', folder)
    expect(back).toMatchObject({ code: 3 })
    expect(back.stderr).toMatch(/an older copy/)
    await writeFile(join(folder, 'checkpoint'), 'something else')
    expect(await world.call(world.log(), 'mirror', folder)).toMatchObject({ code: 1 })
  })
})
