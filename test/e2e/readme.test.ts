/**
 * The README as a newcomer reads it: its commands, letter by letter, in a fresh copy of the sources.
 * Only the ports are others, since the usual ones may be taken here. The copy is built in another
 * folder than the rest of the tests run in, so it also shows that a build is the same everywhere.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ServiceFile } from '@dslog/cli/session'
import { REPOSITORY } from '../repository.ts'
import { Folders, HAS_DATA, shared } from './dslog.ts'

const README = readFileSync(join(REPOSITORY, 'README.md'), 'utf8')

/** Zone files that the README names, and which real ones stand for them. */
const ZONES = {
  'root-2019.zone.gz': 'root/root-2019022100.zone.gz',
  'root-2024.zone.gz': 'root/root-2024071900.zone.gz',
} as const

/** Commands of the shell blocks in a section, without the remarks behind them. */
function commandsOf(section: string): string[] {
  const text = new RegExp(`^## ${section}\n([\\s\\S]*?)(?=^## |(?![\\s\\S]))`, 'm').exec(
    README,
  )?.[1]
  const blocks = [...(text ?? '').matchAll(/```sh\n([\s\S]*?)```/g)].map(([, block]) => block!)
  const lines = blocks.flatMap((block) => block.trimEnd().split('\n'))
  return lines.map((line) => line.replace(/\s+# .*$/, '')).filter((line) => line !== '')
}

/** Files that a clone would have. */
function sourceFiles(): string[] {
  const args = ['ls-files', '-z', '--cached', '--others', '--exclude-standard']
  const listed = execFileSync('git', args, { cwd: REPOSITORY, encoding: 'utf8' }).split('\0')
  return listed.filter((path) => path !== '' && existsSync(join(REPOSITORY, path)))
}

/** Hash of each built file, by path. */
function builds(root: string): Map<string, string> {
  const found = new Map<string, string>()
  for (const area of [
    'schema',
    ...workspacesIn(root, 'packages'),
    ...workspacesIn(root, 'services'),
  ]) {
    const folder = join(root, area, 'dist')
    if (!existsSync(folder)) continue
    for (const path of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
      // What tsc remembers of its last run names the files by where they are.
      if (!/\.(js|d\.ts|html|css|svg|gz)$/.test(path)) continue
      const hash = createHash('sha256')
        .update(readFileSync(join(folder, path)))
        .digest('hex')
      found.set(join(area, path), hash)
    }
  }
  return found
}

function workspacesIn(root: string, folder: string): string[] {
  return readdirSync(join(root, folder)).map((name) => join(folder, name))
}

const folders = new Folders()
const clone = folders.make()
const env: NodeJS.ProcessEnv = {
  ...Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(DSLOG_|DATABASE_URL|npm_)/i.test(name)),
  ),
  DSLOG_LOG_PORT: '0',
  TURBO_TELEMETRY_DISABLED: '1',
}
/** The service that runs: commands beside it find it by its folder. */
let service: ChildProcess | undefined
let said: string[] = []

beforeAll(() => {
  for (const path of sourceFiles()) {
    mkdirSync(dirname(join(clone, path)), { recursive: true })
    copyFileSync(join(REPOSITORY, path), join(clone, path))
  }
})

afterAll(async () => {
  if (service?.exitCode === null && service.signalCode === null) {
    process.kill(-service.pid!, 'SIGKILL')
    await once(service, 'close')
  }
  folders.remove()
})

/** Gathers what a child says, on either stream. */
function listen({ stderr, stdout }: ChildProcess): string[] {
  const chunks: string[] = []
  const add = (chunk: Buffer): void => void chunks.push(chunk.toString())
  stdout!.on('data', add)
  stderr!.on('data', add)
  return chunks
}

/** Runs a line in the copy, as a shell would. */
async function shell(line: string): Promise<{ code: number | null; output: string }> {
  const child = spawn('sh', ['-c', line], { cwd: clone, env, stdio: ['ignore', 'pipe', 'pipe'] })
  const chunks = listen(child)
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, output: chunks.join('') }
}

describe('the commands of the README', () => {
  const [start, test] = commandsOf('Start')

  it('are two to set up: one starts, one tests', () => {
    expect(commandsOf('Start')).toEqual(['npm ci && npm start', 'npm ci && npm test'])
    const ci = readFileSync(join(REPOSITORY, '.ci/run'), 'utf8')
    for (const command of test!.split(' && ')) expect(ci).toMatch(`step '${command}' ${command}`)
  })

  it('start a log that is ready', async () => {
    // A process group of its own, so that whatever npm starts can be ended with it.
    const child = spawn('sh', ['-c', start!], { cwd: clone, env, detached: true, stdio: 'pipe' })
    service = child
    said = listen(child)
    const file = join(clone, 'data/service.json')
    const deadline = Date.now() + 240_000
    while (!existsSync(file)) {
      if (child.exitCode !== null || Date.now() > deadline) {
        throw new Error(`no service: ${said.join('')}`)
      }
      await new Promise((resolve) => setTimeout(resolve, 200))
    }
    const { log, monitor } = JSON.parse(readFileSync(file, 'utf8')) as ServiceFile
    for (const url of [log, monitor]) {
      expect((await fetch(`${url}/readyz`)).status, url).toBe(200)
      expect((await fetch(`${url}/docs`)).status, url).toBe(200)
    }
    expect(said.join('')).toContain(log)
  })

  it('make the same bytes in any folder', () => {
    const [here, there] = [builds(REPOSITORY), builds(clone)]
    expect(there.size).toBeGreaterThan(100)
    expect([...there].filter(([path, hash]) => here.get(path) !== hash)).toEqual([])
  })

  it.skipIf(!HAS_DATA)('import, show, prove, verify and audit', async () => {
    const zones = Object.entries(ZONES)
    for (const [name, real] of zones) copyFileSync(shared(real), join(clone, name))
    const lines = commandsOf('Use')
    expect(lines.length).toBeGreaterThanOrEqual(5)
    for (const line of lines) {
      const { code, output } = await shell(line)
      expect(code, `${line}\n${output}`).toBe(0)
    }
    expect(existsSync(join(clone, 'fi.tlog-proof'))).toBe(true)
  })

  it('end with Ctrl-C', async () => {
    const child = service!
    const closed = once(child, 'close')
    process.kill(-child.pid!, 'SIGINT')
    await closed
    expect(existsSync(join(clone, 'data/service.json'))).toBe(false)
    expect(said.join('')).not.toMatch(/error/i)
  })
})
