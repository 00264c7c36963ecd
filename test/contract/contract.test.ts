/** Tells every story of this folder to the services, over HTTP: see story.ts for how they are written. */
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ask } from './ask.ts'
import { Values } from './match.ts'
import { parseStory, type Step } from './story.ts'
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
  const meanwhile: Promise<void>[] = []
  let url: string
  beforeAll(async () => {
    url = await world.url(service)
  })
  afterAll(async () => {
    await Promise.all(meanwhile)
    await world.leave(url)
  })

  const tell = async (step: Step): Promise<void> => {
    const faults = await ask(url, step, values)
    expect(faults, `${file}, line ${step.line}: ${step.method} ${step.path}`).toEqual([])
  }
  for (const step of steps) {
    test(step.title, async () => {
      if (!step.isMeanwhile) return tell(step)
      meanwhile.push(tell(step))
      // Whoever waits for it later gets the fault; nobody waiting yet is not a crash.
      meanwhile.at(-1)!.catch(() => {})
    })
  }
  if (steps.some(({ isMeanwhile }) => isMeanwhile)) {
    test('what went on meanwhile', () => Promise.all(meanwhile))
  }
})
