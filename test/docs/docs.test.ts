/**
 * Documents that are made from the code, or must agree with it: a document that lies fails here.
 * `DSLOG_TEST_WRITE=1 npx vitest run --project contract test/docs` writes the generated ones anew.
 */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { format } from 'prettier'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { fromUtf8 } from '@dslog/tlog/bytes'
import { HttpClient } from '@dslog/tlog/http'
import { formatSkey, formatVkey, KEY_TYPE } from '@dslog/tlog/key'
import { CLI_CONFIG } from '@dslog/cli/config'
import { CRAWLER_CONFIG } from '@dslog/crawler/config'
import { crawlerService } from '@dslog/crawler/main'
import { LOG_CONFIG } from '@dslog/log/config'
import { logService } from '@dslog/log/main'
import { policyText } from '@dslog/log/policy'
import { MONITOR_CONFIG } from '@dslog/monitor/config'
import { monitorService } from '@dslog/monitor/main'
import { readConfig, renderEnvExample } from '@dslog/service/config'
import { Lifecycle } from '@dslog/service/run'
import { testKey } from '@dslog/testbed/notekey'
import { REPOSITORY } from '../repository.ts'
import { silent } from '../silent.ts'

/** Compares a committed file with what the code makes of it, or writes it. */
function expectFile(path: string, content: string): void {
  const file = join(REPOSITORY, path)
  if (process.env['DSLOG_TEST_WRITE'] === '1') writeFileSync(file, content)
  expect(readFileSync(file, 'utf8'), `${path} is out of date`).toBe(content)
}

test('.env.example lists every setting', () => {
  const sections = {
    Log: LOG_CONFIG,
    Monitor: MONITOR_CONFIG,
    Crawler: CRAWLER_CONFIG,
    Commands: CLI_CONFIG,
  }
  expectFile('.env.example', renderEnvExample(sections))
})

test('registries are told the rates that a crawler has', () => {
  const { crawler } = readConfig({ crawler: CRAWLER_CONFIG }, {})
  expect(crawler.serverRate).toBe(10)
  const asked = (rate: string) => () => {
    readConfig({ crawler: CRAWLER_CONFIG }, { DSLOG_CRAWLER_SERVER_RATE: rate })
  }
  expect(asked('20')).not.toThrow()
  expect(asked('21')).toThrow('DSLOG_CRAWLER_SERVER_RATE')
  const readme = readFileSync(join(REPOSITORY, 'README.md'), 'utf8').replaceAll(/\s+/g, ' ')
  expect(readme).toContain('each of your servers at most ten questions a second')
  expect(readme).toContain('no setting makes it more than twenty')
})

test('every link between documents leads somewhere', () => {
  const broken: string[] = []
  for (const path of markdownFiles(REPOSITORY)) {
    const text = readFileSync(path, 'utf8').replaceAll(/```[\s\S]*?```/g, '')
    for (const [, target = ''] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(target) || target.startsWith('#')) continue
      const file = join(dirname(path), target.replace(/#.*$/, ''))
      if (!existsSync(file)) broken.push(`${relative(REPOSITORY, path)}: ${target}`)
    }
  }
  expect(broken).toEqual([])
})

test('every picture is shown to somebody', () => {
  const shown = new Set(
    markdownFiles(REPOSITORY).flatMap((path) =>
      [...readFileSync(path, 'utf8').matchAll(/!\[[^\]]+\]\(([^)\s]+)\)/g)].map(([, target = '']) =>
        join(dirname(path), target),
      ),
    ),
  )
  const pictures = readdirSync(join(REPOSITORY, 'docs/img')).map((name) =>
    join(REPOSITORY, 'docs/img', name),
  )
  expect(pictures.filter((picture) => !shown.has(picture))).toEqual([])
  expect(pictures.length).toBeGreaterThan(10)
})

function markdownFiles(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    if (['node_modules', 'dist', '.git', '.turbo', 'data'].includes(entry.name)) return []
    const path = join(folder, entry.name)
    if (entry.isDirectory()) return markdownFiles(path)
    return entry.name.endsWith('.md') ? [path] : []
  })
}

describe('of running services', () => {
  const folder = mkdtempSync(join(tmpdir(), 'dslog-docs-'))
  const lifecycles: Lifecycle[] = []
  const urls: Record<string, string> = {}

  beforeAll(async () => {
    const key = testKey('docs.example/log', KEY_TYPE.ed25519, 7)
    const witness = testKey('docs.example/witness', KEY_TYPE.cosignature, 8)
    // It is not there, so nothing is published; for documents that is enough.
    const witnesses = join(folder, 'witnesses')
    const asked = `witness w ${formatVkey(witness)} http://127.0.0.1:9`
    writeFileSync(witnesses, `${asked}\nquorum w\n`)
    const env = {
      DSLOG_DATA: folder,
      DSLOG_LOG_WITNESS_POLICY: witnesses,
      DSLOG_MONITOR_WITNESS_KEY: formatSkey(witness),
      DSLOG_LOG_KEY: formatSkey(key),
      DSLOG_LOG_PORT: '0',
      DSLOG_MONITOR_PORT: '0',
      DSLOG_CRAWLER_PORT: '0',
      DSLOG_CRAWLER_TRANSFERS: 'none',
    }
    const all = [LOG_CONFIG, MONITOR_CONFIG, CRAWLER_CONFIG]
    const { log: config } = readConfig({ log: LOG_CONFIG }, env, all)
    const log = logService({ config, logger: silent, create: true })
    await start(log.components)
    urls['log'] = `http://127.0.0.1:${log.port()}`
    writeFileSync(join(folder, 'policy'), policyText([formatVkey(key)], urls['log']))
    const { monitor: settings } = readConfig({ monitor: MONITOR_CONFIG }, env, all)
    const monitor = monitorService({ config: settings, logger: silent })
    await start(monitor.components)
    urls['monitor'] = `http://127.0.0.1:${monitor.port()}`
    const crawlerEnv = { ...env, DSLOG_CRAWLER_LOG_URL: urls['log'] }
    const { crawler: own } = readConfig({ crawler: CRAWLER_CONFIG }, crawlerEnv, all)
    const crawler = crawlerService({ config: own, logger: silent })
    await start(crawler.components)
    urls['crawler'] = `http://127.0.0.1:${crawler.port()}`
  })

  async function start(components: ConstructorParameters<typeof Lifecycle>[0]): Promise<void> {
    const lifecycle = new Lifecycle(components, silent)
    lifecycles.unshift(lifecycle)
    await lifecycle.start()
  }

  afterAll(async () => {
    for (const lifecycle of lifecycles) await lifecycle.stop()
    rmSync(folder, { recursive: true, force: true })
  })

  test.each(['log', 'monitor', 'crawler'])(
    'docs/openapi/%s.json describes the routes',
    async (service) => {
      // Where much else runs a service is busy, and says so: then it is asked again.
      const http = new HttpClient({ fetch, now: Date.now, random: Math.random }, { retries: 20 })
      const { body } = await http.request(`${urls[service]}/openapi.json`, { maxBytes: 1_000_000 })
      const document = JSON.parse(fromUtf8(body)) as { paths: object; openapi: string }
      expect(document.openapi).toBe('3.1.0')
      expectFile(
        `docs/openapi/${service}.json`,
        await format(JSON.stringify(document), { parser: 'json', printWidth: 100 }),
      )
    },
  )

  test('docs/metrics.md explains every metric', async () => {
    const sections: string[] = []
    for (const [service, title] of [
      ['log', 'Log'],
      ['monitor', 'Monitor'],
      ['crawler', 'Crawler'],
    ] as const) {
      const text = await (await fetch(`${urls[service]}/metrics`)).text()
      const rows = [...text.matchAll(/^# HELP (dslog_\S+) (.*)$/gm)]
        .map(([, name, help]) => `| \`${name}\` | ${help} |`)
        .sort()
      sections.push(
        [`## ${title}`, '', '| metric | meaning |', '| --- | --- |', ...rows].join('\n'),
      )
    }
    const head =
      '# Metrics\n\nAt `/metrics` of each service, in the Prometheus text format, ' +
      'beside the usual ones of a Node process (`process_*`, `nodejs_*`).'
    const page = await format([head, ...sections].join('\n\n'), { parser: 'markdown' })
    expectFile('docs/metrics.md', page)

    // Rules that look for a metric nobody has never fire.
    const rules = readFileSync(join(REPOSITORY, 'deploy/prometheus/alerts.yml'), 'utf8')
    const named = new Set(rules.match(/\bdslog_[a-z_]+/g))
    expect([...named].filter((name) => !page.includes(`\`${name}\``))).toEqual([])
    expect(named.size).toBeGreaterThan(5)
  })
})
