/**
 * The documents for operators hold what they name: commands, options, settings, metrics, alarms and files
 * that are there.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { Writable } from 'node:stream'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { CLI_CONFIG } from '@dslog/cli/config'
import { run } from '@dslog/cli/program'
import { CRAWLER_CONFIG } from '@dslog/crawler/config'
import { LOG_CONFIG } from '@dslog/log/config'
import { MONITOR_CONFIG } from '@dslog/monitor/config'
import type { Table } from '@dslog/service/config'
import { REPOSITORY } from '../repository.ts'
import { type Call, commandsOf, dslogCalls } from './shell.ts'

const read = (path: string): string => readFileSync(join(REPOSITORY, path), 'utf8')

const PAGES = [
  'README.md',
  'ARCHITECTURE.md',
  'CONTRIBUTING.md',
  'SECURITY.md',
  ...readdirSync(join(REPOSITORY, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
]

/** What the help of a command says that it takes. */
interface Usage {
  /** Option → whether it takes a value. */
  readonly options: ReadonlyMap<string, boolean>
  readonly least: number
  readonly most: number
}

async function helpOf(args: readonly string[]): Promise<string> {
  let text = ''
  const write = (chunk: Buffer, _: string, done: () => void): void => {
    text += chunk.toString()
    done()
  }
  const sink = new Writable({ write })
  const stdin = (async function* () {})()
  const code = await run([...args, '--help'], { env: {}, stdin, stdout: sink, stderr: sink })
  if (code !== 0) throw new RangeError(text.trim())
  return text
}

const usages = new Map<string, Promise<Usage>>()

function usageOf(command: string): Promise<Usage> {
  let usage = usages.get(command)
  if (usage === undefined) {
    usage = readUsage(command)
    usages.set(command, usage)
  }
  return usage
}

async function readUsage(command: string): Promise<Usage> {
  const help = await helpOf([command])
  const options = new Map<string, boolean>()
  for (const [, short, long, value] of help.matchAll(/^ {2}(?:(-\w), )?(--[\w-]+)( <)?/gm)) {
    options.set(long!, value !== undefined)
    if (short !== undefined) options.set(short, value !== undefined)
  }
  const line = /^Usage: dslog \S+(.*)$/m.exec(help)?.[1] ?? ''
  const taken = line.replace('[options]', '').match(/<[^>]+>|\[[^\]]+\]/g) ?? []
  return {
    options,
    least: taken.filter((name) => name.startsWith('<')).length,
    most: line.includes('...') ? Infinity : taken.length,
  }
}

/** What is wrong with a call; `undefined` if nothing is. */
async function faultOf([command = '', ...rest]: Call): Promise<string | undefined> {
  if (command === '--help' || command === '--version') return undefined
  const known = [...(await helpOf([])).matchAll(/^ {2}([a-z][\w-]*) /gm)].map(([, name]) => name)
  if (!known.includes(command)) return `no command ${command}`
  const { least, most, options } = await usageOf(command)
  let given = 0
  for (let i = 0; i < rest.length; i++) {
    const [word = '', value] = rest[i]!.split('=', 2)
    if (!/^-\w|^--\w/.test(word)) given++
    else if (!options.has(word)) return `${command}: no option ${word}`
    else if (options.get(word) === true && value === undefined) i++
    if (i >= rest.length) return `${command}: ${word} takes a value`
  }
  if (given < least || given > most) return `${command}: ${given} arguments`
  return undefined
}

// Those of verify-by-hand.md are run as they stand, by a test of its own.
test.each(PAGES.filter((page) => !page.includes('by-hand')))(
  '%s: each call of dslog is one',
  async (page) => {
    const faults: string[] = []
    for (const call of dslogCalls(read(page))) {
      const fault = await faultOf(call)
      if (fault !== undefined) faults.push(`dslog ${call.join(' ')}: ${fault}`)
    }
    expect(faults).toEqual([])
  },
)

test('a wrong call is found', async () => {
  const page = (line: string): Call[] => dslogCalls(`\`\`\`sh\n${line}\n\`\`\``)
  const fault = async (line: string): Promise<string | undefined> => faultOf(page(line)[0]!)
  expect(await fault('A=1 npx dslog log --create --origin a/b   # once')).toBeUndefined()
  expect(await fault('sudo -u x /opt/dslog/packages/cli/bin/dslog.js fsck')).toBeUndefined()
  expect(await fault('dslog lgo')).toBe('no command lgo')
  expect(await fault('dslog log --crate')).toBe('log: no option --crate')
  expect(await fault('dslog restore --from')).toBe('restore: --from takes a value')
  expect(await fault('dslog mirror')).toBe('mirror: 0 arguments')
  expect(await fault('dslog fsck now')).toBe('fsck: 1 arguments')
  expect(page('cd dslog/ && ls')).toEqual([])
})

test('scripts are read as a shell reads them', () => {
  expect(commandsOf('a "b  c" \\\n  d # e\nf>g 2>&1 | h; $(i j)')).toEqual([
    ['a', 'b  c', 'd'],
    ['f', '2'],
    ['h'],
    ['$'],
    ['i', 'j'],
  ])
  expect(commandsOf("cat > f <<'END'\ndslog nothing\nEND\nls")).toEqual([['cat'], ['ls']])
  expect(() => commandsOf('a "b')).toThrow('a quote is open')
})

describe('names in documents', () => {
  const tables: Table[] = [LOG_CONFIG, CRAWLER_CONFIG, MONITOR_CONFIG, CLI_CONFIG]
  const settings = new Set(
    tables.flatMap((table) =>
      Object.values(table).flatMap(({ kind, name }) =>
        kind === 'secret' ? [name, `${name}_FILE`] : [name],
      ),
    ),
  )

  /** What a hook of the monitor is told by its environment. */
  const HOOK = /^DSLOG_(TYPE|NAME|LEVEL|RULE|MESSAGE)$/

  test.each(PAGES)('%s: settings are those of the tables', (page) => {
    const named = new Set(read(page).match(/\bDSLOG_[A-Z0-9_]*[A-Z0-9]\b/g))
    const unknown = [...named].filter(
      (name) => !settings.has(name) && !name.startsWith('DSLOG_TEST_') && !HOOK.test(name),
    )
    expect(unknown).toEqual([])
  })

  test.each(PAGES)('%s: metrics and files are there', (page) => {
    const metrics = read('docs/metrics.md')
    const named = new Set(read(page).match(/\bdslog_(?!log|owner|crawler\b|reader)[a-z_]+/g))
    const roles = /^dslog_(monitor|log_reader)$/
    expect([...named].filter((name) => !metrics.includes(name) && !roles.test(name))).toEqual([])
    const files = new Set(read(page).match(/\bdeploy\/[\w./-]*\w/g))
    files.delete('deploy/secrets')
    expect([...files].filter((path) => !existsSync(join(REPOSITORY, path)))).toEqual([])
  })

  test('docs/operate.md says what to do at each alarm, and knows no others', () => {
    const rules = parse(read('deploy/prometheus/alerts.yml')) as {
      groups: { rules: { alert: string }[] }[]
    }
    const alarms = rules.groups.flatMap((group) => group.rules.map(({ alert }) => alert))
    const told = [...read('docs/operate.md').matchAll(/^\| `(Dslog\w+)`/gm)].map(([, name]) => name)
    expect(new Set(told)).toEqual(new Set(alarms))
    expect(told).toHaveLength(alarms.length)
  })
})
