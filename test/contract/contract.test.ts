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
  let url: string
  beforeAll(async () => {
    url = await world.url(service)
  })

  for (const step of steps) {
    test(step.title, async () => {
      const faults = await ask(url, step, values)
      expect(faults, `${file}, line ${step.line}: ${step.method} ${step.path}`).toEqual([])
    })
  }
})
