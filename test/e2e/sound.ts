/** What everybody may check about a log that a crawler has filled. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'vitest'
import type { CrawlWorld } from '../crawl.ts'
import { dslog } from './dslog.ts'

/** That `dslog audit` has nothing to say: each entry has its evidence, and the map is that of the entries. */
export async function expectSound(world: CrawlWorld): Promise<void> {
  const policy = join(world.place.data, 'policy')
  await writeFile(policy, world.log.context.policy)
  const anchors = join(world.place.data, 'anchors')
  const audit = ['audit', '--log', world.url, '--policy', policy, '--anchors', anchors]
  const { code, stderr, stdout } = await dslog(audit, { env: {} })
  expect(stderr + stdout).not.toMatch(/wrong|violation/i)
  expect(code).toBe(0)
}
