/** Tells every story of this folder to the services, over HTTP: see story.ts for how they are written. */
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ask } from './ask.ts'
import { Values } from './match.ts'
import { parseStory } from './story.ts'
import { World } from './world.ts'

const FOLDER = fileURLToPath(new URL('.', import.meta.url))

let world: World
beforeAll(async () => {
  world = await World.open()
})
afterAll(() => world.close())

describe.each(readdirSync(FOLDER).filter((name) => name.endsWith('.txt')))('%s', (file) => {
  const { service, steps } = parseStory(readFileSync(`${FOLDER}${file}`, 'utf8'))
  const values = new Values((name) => world.value(name))
  /** What was wrong with the answers to what was asked on the side. */
  const meanwhile: Promise<string[]>[] = []
  let url: string
  beforeAll(async () => {
    url = await world.url(service)
  })
  afterAll(() => world.leave(url))

  test.each(steps.map((step) => [step.title, step] as const))('%s', async (_, step) => {
    const answered = ask(url, step, values)
    // A failure of it counts when all is told; nobody waiting yet is not a crash.
    if (step.isMeanwhile) meanwhile.push(answered.catch((error: unknown) => [String(error)]))
    const faults = step.isMeanwhile ? [] : await answered
    expect(faults, `${file}, line ${step.line}: ${step.method} ${step.path}`).toEqual([])
  })

  test('(what was asked meanwhile)', async () => {
    expect((await Promise.all(meanwhile)).flat()).toEqual([])
  })
})
