/** Somebody else's witness cosigns our log, where it is installed: see the script beside this file. */
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { isInstalled } from '@dslog/testbed/program'

const SCRIPT = fileURLToPath(new URL('litewitness', import.meta.url))

/** What the script ends with where litewitness is not there. */
const NOT_INSTALLED = 77

const isThere = isInstalled('litewitness')

test.skipIf(!isThere)('litewitness cosigns our log', () => {
  const { status, stdout } = spawnSync(SCRIPT, { encoding: 'utf8' })
  expect(stdout).toContain('cosigns')
  expect(status).toBe(0)
})

test.skipIf(isThere)('the script says so where it cannot run', () => {
  const { status, stdout } = spawnSync(SCRIPT, { encoding: 'utf8' })
  expect(stdout).toMatch(/^skipped: no /)
  expect(status).toBe(NOT_INSTALLED)
})
