/**
 * The examples of docs/examples, run as they stand; the READMEs of the packages, which show them; and what these
 * packages hold when they are packed.
 */
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startLog } from '../interop/running-log.ts'
import { FROM_SOURCE, REPOSITORY } from '../repository.ts'

const EXAMPLES = { tlog: 'follow-log', dnssec: 'ds-of-key', verify: 'verify-proof' }
const PACKAGES = Object.keys(EXAMPLES) as (keyof typeof EXAMPLES)[]

let log: Awaited<ReturnType<typeof startLog>>
let folder: string
let policy: string
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'dslog-examples-'))
  log = await startLog([1, 5])
  policy = file('policy', `log ${log.vkey}\nquorum none\n`)
})
afterAll(async () => {
  await log.close()
  rmSync(folder, { recursive: true, force: true })
})

function file(name: string, content: string | Uint8Array): string {
  const path = join(folder, name)
  writeFileSync(path, content)
  return path
}

/** How an example is started: its sources as they are. */
function command(example: string, args: readonly string[]): string[] {
  const path = join(REPOSITORY, 'docs/examples', `${example}.ts`)
  return [...FROM_SOURCE, path, ...args]
}

/** Runs an example to its end, beside the log. */
function run(example: string, ...args: string[]) {
  return new Promise<{ code: number | null; stdout: string; stderr: string }>((resolve) => {
    const child = spawn(process.execPath, command(example, args), { cwd: REPOSITORY })
    const said = { stdout: '', stderr: '' }
    child.stdout.on('data', (chunk: Buffer) => (said.stdout += chunk.toString()))
    child.stderr.on('data', (chunk: Buffer) => (said.stderr += chunk.toString()))
    child.on('close', (code) => resolve({ code, ...said }))
  })
}

test('a proof is verified, and one with a byte changed is not', async () => {
  const answer = await fetch(`${log.url}/v1/names/name2-1.test/proof`)
  const proof = new Uint8Array(await answer.arrayBuffer())
  const good = await run('verify-proof', policy, file('good', proof), log.anchors)
  expect(good.stderr).toBe('')
  const [first = '', second] = good.stdout.split('\n')
  expect(JSON.parse(first)).toMatchObject({ type: 'ds', name: 'name2-1.test.', zone: 'test.' })
  expect(second).toMatch(/^proven in the tree of \d+ entries of log\.example\/test/)
  proof[proof.length >> 1]! ^= 1
  const bad = await run('verify-proof', policy, file('bad', proof), log.anchors)
  expect(bad).toMatchObject({ code: 1, stdout: '' })
  // Under the real root's anchors it proves nothing either.
  expect(await run('verify-proof', policy, join(folder, 'good'))).toMatchObject({ code: 1 })
})

test('a log is followed', async () => {
  const child = spawn(process.execPath, command('follow-log', [log.url, policy, '0.1']), {
    cwd: REPOSITORY,
  })
  try {
    const types: string[] = []
    for await (const line of createInterface(child.stdout)) {
      const [index, type = ''] = line.split(' ')
      expect(Number(index)).toBe(types.length)
      types.push(type)
      if (types.filter((type) => type === 'ds').length === 6) break
    }
    expect(types.filter((type) => type === 'ds')).toHaveLength(6)
    expect(types[0]).toBe('map-head')
    expect(types).toContain('zone-keys')
  } finally {
    child.kill()
  }
})

test('the DS of a key are those that its parent has', async () => {
  // Root key 20326 and its anchor, as IANA publishes them.
  const key =
    'AwEAAaz/tAm8yTn4Mfeh5eyI96WSVexTBAvkMgJzkKTOiW1vkIbzxeF3+/4RgWOq7HrxRixHlFlExOLAJr5emLvN7SWXgnLh4+B5xQlNVz8Og8kvArMtNROxVQuCaSnIDdD5LKyWbRd2n9WGe2R8PzgCmr3EgVLrjyBxWezF0jLHwVN8efS3rCj/EWgvIWgb9tarpVUDK/b58Da+sqqls3eNbuv7pr+eoZG+SrDK6nWeL3c6H5Apxz7LjVc1uTIdsIXxuOLYA4/ilBmSVIzuDWfdRUfhHdY6+cn8HFRm+2hM8AnXGXws9555KrUB5qihylGa8subX2Nn6UwNR1AkUTV74bU='
  const { stdout } = await run('ds-of-key', '.', `257 3 8 ${key}`)
  expect(stdout).toContain(
    '20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D\n',
  )
})

describe.each(PACKAGES)('@dslog/%s', (name) => {
  const at = join(REPOSITORY, 'packages', name)
  const readme = () => readFileSync(join(at, 'README.md'), 'utf8')

  test('its README shows an example as it is', () => {
    const code = readFileSync(join(REPOSITORY, 'docs/examples', `${EXAMPLES[name]}.ts`), 'utf8')
    expect(readme()).toContain(`\`\`\`ts\n${code}\`\`\``)
  })

  test('its README names entry points that are there', () => {
    const named = [...readme().matchAll(/`@dslog\/(\w+)\/([\w/-]+)`/g)]
    expect(named.length).toBeGreaterThan(5)
    for (const [, other = '', path = ''] of named) {
      const source = other === 'schema' ? 'schema' : `packages/${other}`
      expect(existsSync(join(REPOSITORY, source, 'src', `${path}.ts`)), `${other}/${path}`).toBe(
        true,
      )
    }
  })

  test('its package holds what is built and the README, and nothing else', () => {
    const args = ['pack', '--dry-run', '--json', '--ignore-scripts', '-w', `@dslog/${name}`]
    const { stdout } = spawnSync('npm', args, { cwd: REPOSITORY, encoding: 'utf8' })
    const [packed] = JSON.parse(stdout) as { files: { path: string }[] }[]
    const paths = packed!.files.map(({ path }) => path)
    expect(paths).toContain('README.md')
    expect(paths).toContain('package.json')
    // Each source is there as code and as types.
    const built = paths.filter((path) => path.startsWith('dist/'))
    expect(built.length).toBeGreaterThan(20)
    expect(built.filter((path) => !/\.(js|d\.ts)(\.map)?$/.test(path))).toEqual([])
    for (const path of built) {
      const source = path.replace(/^dist\//, 'src/').replace(/(\.d\.ts|\.js)(\.map)?$/, '.ts')
      expect(existsSync(join(at, source)), path).toBe(true)
    }
    const rest = paths.filter((path) => !path.startsWith('dist/'))
    expect(rest.sort()).toEqual(['README.md', 'package.json'])
  })
})
