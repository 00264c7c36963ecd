/** What is in deploy/, held against the programs that it deploys. */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { isInstalled } from '@dslog/testbed/program'
import { REPOSITORY } from '../repository.ts'
import { readCompose } from './compose.ts'
import { SERVICES, settingsOf } from './services.ts'

const text = (path: string): string => readFileSync(join(REPOSITORY, path), 'utf8')

describe('docker-compose.yml', () => {
  const compose = readCompose()
  const services = Object.entries(compose.services)

  test('has what dslog is made of, and what is optional only on demand', () => {
    const plain = services.filter(([, { profiles }]) => profiles === undefined)
    expect(plain.map(([name]) => name).sort((a, b) => (a < b ? -1 : 1))).toEqual([
      'crawler',
      'log',
      'migrate-crawler',
      'migrate-log',
      'migrate-monitor',
      'monitor',
      'policy',
      'postgres',
    ])
    const onDemand = services.flatMap(([, { profiles = [] }]) => profiles)
    expect(new Set(onDemand)).toEqual(new Set(['mail', 'observe', 'read']))
  })

  test.each(services)('%s gives away no more than it must', (_name, service) => {
    expect(service.cap_drop).toEqual(['ALL'])
    expect(service.security_opt).toEqual(['no-new-privileges:true'])
    expect(service.restart).toMatch(/^(unless-stopped|on-failure:5)$/)
    if (service.build !== undefined) expect(service.read_only).toBe(true)
    // Nothing is open to the world before somebody puts a proxy in front.
    for (const port of service.ports ?? []) expect(port).toMatch(/^127\.0\.0\.1:(\d+):\1$/)
    expect(service.image).toMatch(/^dslog$|:.+/)
  })

  test.each(SERVICES)('the %s is told only what it knows, and secrets by file', (name) => {
    const { command, environment = {}, healthcheck, secrets = [] } = compose.services[name]
    expect(command).toEqual([name])
    const settings = settingsOf(name)
    for (const [variable, value] of Object.entries(environment)) {
      expect(settings.has(variable.replace(/_FILE$/, '')), variable).toBe(true)
      expect(variable).not.toMatch(/(TOKEN|KEY|PASSWORD|DATABASE_URL)$/)
      if (!variable.endsWith('_FILE')) continue
      expect(secrets).toContain(value.replace('/run/secrets/', ''))
    }
    expect(environment).toHaveProperty('DATABASE_URL_FILE')
    expect(healthcheck?.test.slice(-2)).toEqual(['health', name])
  })

  test('a process that only reads is the log, without its folder', () => {
    const { command, environment = {}, secrets, volumes = [] } = compose.services.reader
    expect(command).toEqual(['log', '--read-only'])
    expect(secrets).toEqual(['log-reader-database-url'])
    const settings = settingsOf('log')
    for (const variable of Object.keys(environment)) {
      expect(settings.has(variable.replace(/_FILE$/, '')), variable).toBe(true)
    }
    expect(volumes).toEqual(['/data', 'policy:/policy:ro'])
  })

  test('the folder with the key is that of the log alone', () => {
    const using = services.filter(([, { volumes = [] }]) =>
      volumes.some((volume) => volume.startsWith('log:')),
    )
    // The other one copies the policy, and ends.
    expect(using.map(([name]) => name)).toEqual(['log', 'policy'])
  })

  test('every secret, volume and file that is named is there', () => {
    const folder = mkdtempSync(join(tmpdir(), 'dslog-secrets-'))
    try {
      const made = spawnSync(join(REPOSITORY, 'deploy/secrets.sh'), [folder])
      expect(made.status, made.stderr.toString()).toBe(0)
      const files = Object.fromEntries(
        readdirSync(folder).map((name) => [name, readFileSync(join(folder, name), 'utf8')]),
      )
      expect(new Set(Object.keys(compose.secrets))).toEqual(new Set(Object.keys(files)))
      for (const [name, { file }] of Object.entries(compose.secrets)) {
        expect(file).toBe(`./deploy/secrets/${name}`)
      }
      expect(files['log-database-url']).toBe(
        `postgres://dslog_log:${files['log-password']}@postgres/dslog`,
      )
      expect(new Set(Object.values(files)).size).toBe(Object.keys(files).length)
      // Others are kept out by the folder.
      expect(statSync(folder).mode & 0o077).toBe(0)
      // Once made, they stay.
      spawnSync(join(REPOSITORY, 'deploy/secrets.sh'), [folder])
      expect(readFileSync(join(folder, 'operator-token'), 'utf8')).toBe(files['operator-token'])
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
    for (const [, { secrets = [], volumes = [] }] of services) {
      for (const secret of secrets) expect(compose.secrets).toHaveProperty([secret])
      for (const volume of volumes) {
        const [source] = volume.split(':')
        if (source!.startsWith('./')) {
          expect(existsSync(join(REPOSITORY, source!)), source).toBe(true)
        } else if (!source!.startsWith('/')) {
          expect(compose.volumes).toHaveProperty([source!])
        }
      }
    }
  })

  test('nothing waits for what is not there, or for itself', () => {
    const visit = (name: string, above: readonly string[]): void => {
      expect(above).not.toContain(name)
      const { depends_on = {} } = compose.services[name]!
      for (const [other, { condition }] of Object.entries(depends_on)) {
        const awaited = compose.services[other]!
        if (condition === 'service_healthy') expect(awaited.healthcheck).toBeDefined()
        else expect(awaited.restart).toBe('on-failure:5')
        visit(other, [...above, name])
      }
    }
    for (const [name] of services) visit(name, [])
  })
})

describe('Dockerfile', () => {
  const lines = text('Dockerfile').split('\n')

  test('runs the command line, not as root, and writes to /data only', () => {
    expect(lines).toContain('ENTRYPOINT ["node", "/app/packages/cli/bin/dslog.js"]')
    expect(lines).toContain('USER 1000:1000')
    expect(lines).toContain('VOLUME /data')
    const path = /"\/app\/(\S+)"\]$/.exec(lines.find((line) => line.startsWith('ENTRYPOINT'))!)![1]!
    expect(existsSync(join(REPOSITORY, path))).toBe(true)
  })

  test('leaves out what is secret or made anew', () => {
    const ignored = text('.dockerignore').split('\n')
    for (const path of ['deploy/secrets', '**/node_modules', '.git', '.env', '*.key', 'data']) {
      expect(ignored).toContain(path)
    }
  })
})

describe('systemd', () => {
  const units = readdirSync(join(REPOSITORY, 'deploy/systemd'))

  const services = SERVICES.map((name) => ({ name, unit: `dslog-${name}.service`, command: name }))
  const reader = {
    name: 'log',
    unit: 'dslog-log-reader@.service',
    command: 'log --read-only',
  } as const
  const all = [...services, reader]

  test('has a unit for each service', () => {
    expect(new Set(units)).toEqual(new Set(all.map(({ unit }) => unit)))
  })

  test.each(all)('$unit', ({ command, name, unit: file }) => {
    const unit = text(`deploy/systemd/${file}`)
    expect(unit).toMatch(
      new RegExp(`^ExecStart=\\S+/node /opt/dslog/packages/cli/bin/dslog\\.js ${command}$`, 'm'),
    )
    // It comes back by itself, however long a database was away; unless somebody has to look first.
    expect(unit).toMatch(/^StartLimitIntervalSec=0$/m)
    expect(unit).toMatch(/^Restart=on-failure$/m)
    expect(unit).toMatch(/^RestartPreventExitStatus=2 4$/m)
    const settings = settingsOf(name)
    for (const [, variable] of unit.matchAll(/^Environment=(\w+)=/gm)) {
      if (variable === 'NODE_ENV') continue
      expect(settings.has(variable!.replace(/_FILE$/, '')), variable).toBe(true)
    }
    for (const guard of ['NoNewPrivileges=yes', 'ProtectSystem=strict', 'CapabilityBoundingSet=']) {
      expect(unit.split('\n')).toContain(guard)
    }
  })

  const hasAnalyzer = isInstalled('systemd-analyze')
  test.runIf(hasAnalyzer).each(units)('systemd-analyze has nothing against %s', (unit) => {
    const words = ['verify', join(REPOSITORY, 'deploy/systemd', unit)]
    const said = spawnSync('systemd-analyze', words).stderr.toString().split('\n')
    expect(
      said.filter((line) => line.includes('dslog-') && !/not executable|not exist/i.test(line)),
    ).toEqual([])
  })
})

test('Grafana and Prometheus ask for metrics that there are', () => {
  const known = new Set(
    [...text('docs/metrics.md').matchAll(/^\| `(dslog_\w+)`/gm)].map(([, name]) => name),
  )
  for (const file of ['deploy/grafana/dashboards/dslog.json', 'deploy/prometheus/alerts.yml']) {
    const asked = [...text(file).matchAll(/\bdslog_\w+/g)].map(([name]) =>
      name.replace(/_(bucket|count|sum)$/, ''),
    )
    expect(asked.length).toBeGreaterThan(5)
    expect(
      asked.filter((name) => !known.has(name)),
      file,
    ).toEqual([])
  }
  const { scrape_configs } = parse(text('deploy/prometheus/prometheus.yml')) as {
    scrape_configs: readonly { job_name: string }[]
  }
  expect(scrape_configs.map(({ job_name }) => job_name)).toEqual(['dslog', 'dslog-crawler'])
})

describe('workflows', () => {
  const files = readdirSync(join(REPOSITORY, '.github/workflows'))
  interface Step {
    readonly run?: string
    readonly uses?: string
  }
  const stepsOf = (file: string): readonly Step[] => {
    const { jobs } = parse(text(`.github/workflows/${file}`)) as {
      jobs: Record<string, { steps: readonly Step[] }>
    }
    return Object.values(jobs).flatMap(({ steps }) => steps)
  }

  test.each(files)('%s does what .ci/run does', (file) => {
    const runs = stepsOf(file).flatMap(({ run }) => run ?? [])
    expect(runs).toContain('.ci/run')
    for (const [path] of runs.join('\n').matchAll(/\.ci\/\w+/g)) {
      expect(existsSync(join(REPOSITORY, path)), path).toBe(true)
    }
    const { scripts } = JSON.parse(text('package.json')) as { scripts: Record<string, string> }
    for (const [, script] of runs.join('\n').matchAll(/npm run ([\w:]+)/g)) {
      expect(scripts).toHaveProperty([script!])
    }
  })

  test.each(files)('%s uses what others wrote as it was when it was read', (file) => {
    const used = stepsOf(file).flatMap(({ uses }) => uses ?? [])
    expect(used.filter((action) => !/@[0-9a-f]{40}$/.test(action))).toEqual([])
  })
})

test('the list of what is in an image has every package that is needed to run', () => {
  const { status, stdout, stderr } = spawnSync('bash', [join(REPOSITORY, '.ci/sbom')], {
    encoding: 'utf8',
  })
  expect(status, stderr).toBe(0)
  const { components } = JSON.parse(stdout) as { components: { name: string; version: string }[] }
  const listed = new Set(components.map(({ name, version }) => `${name}@${version}`))
  const { packages } = JSON.parse(text('package-lock.json')) as {
    packages: Record<string, { version: string; link?: boolean } & Record<string, object>>
  }
  const needed = new Map<string, string>()
  // As Node finds a package: beside whoever needs it, or in a folder further up.
  const need = (from: string): void => {
    const { dependencies = {} } = packages[from]!
    for (const name of Object.keys(dependencies)) {
      let folder = from
      while (folder !== '' && packages[`${folder}/node_modules/${name}`] === undefined) {
        folder = folder.slice(0, Math.max(0, folder.lastIndexOf('/')))
      }
      const path = `${folder === '' ? '' : `${folder}/`}node_modules/${name}`
      if (packages[path]!.link === true || needed.has(path)) continue
      needed.set(path, `${name}@${packages[path]!.version}`)
      need(path)
    }
  }
  for (const workspace of ['packages', 'services', 'schema']) {
    for (const path of Object.keys(packages)) if (path.startsWith(workspace)) need(path)
  }
  expect(needed.size).toBeGreaterThan(100)
  expect([...needed.values()].filter((id) => !listed.has(id))).toEqual([])
  expect(components.map(({ name }) => name)).not.toContain('typescript')
})
