/** The Helm chart, rendered by Go's templates, and held against what the services are. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parse, parseAllDocuments } from 'yaml'
import { isInstalled } from '@dslog/testbed/program'
import { SERVICES, settingsOf } from '../deploy/services.ts'
import { REPOSITORY } from '../repository.ts'

const CHART = join(REPOSITORY, 'deploy/helm/dslog')
const SOURCE = fileURLToPath(new URL('helmrender/', import.meta.url))

/** What is deployed, and which service each is. Only those that share their work may be several. */
const PARTS = [
  ...SERVICES.map((name) => ({ part: name, service: name, args: [name] })),
  { part: 'reader', service: 'log', args: ['log', '--read-only'] },
] as const
const SEVERAL = { crawler: 1, reader: 2 } as const

interface Container {
  readonly name: string
  readonly image: string
  readonly args: readonly string[]
  readonly env: readonly { readonly name: string; readonly value: string }[]
  readonly ports: readonly { readonly name: string; readonly containerPort: number }[]
  readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string }[]
  readonly securityContext: object
  readonly resources: object
}

interface Manifest {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: { readonly name: string; readonly labels: Record<string, string> }
  readonly spec: {
    readonly replicas: number
    readonly strategy: { readonly type: string }
    readonly selector: Record<string, unknown>
    readonly ports: readonly { readonly port: number; readonly targetPort: string }[]
    readonly template: {
      readonly metadata: { readonly labels: Record<string, string> }
      readonly spec: {
        readonly containers: readonly Container[]
        readonly volumes: readonly { readonly name: string }[]
        readonly securityContext: object
      }
    }
  }
}

describe.runIf(isInstalled('go'))('the Helm chart', () => {
  let folder: string
  let program: string

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'dslog-helm-'))
    program = join(folder, 'helmrender')
    const env = {
      ...process.env,
      GOFLAGS: '-mod=mod',
      GOPROXY: 'off',
      GOCACHE: join(folder, 'cache'),
    }
    const built = spawnSync('go', ['build', '-o', program, '.'], { cwd: SOURCE, env })
    if (built.status !== 0) throw new Error(built.stderr.toString())
  })
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  /** What `helm template demo .` prints, with these values over those of the chart. */
  function render(override: (values: Values) => void = () => {}): Manifest[] {
    const values = parse(readFileSync(join(CHART, 'values.yaml'), 'utf8')) as Values
    override(values)
    const { appVersion, name } = parse(readFileSync(join(CHART, 'Chart.yaml'), 'utf8')) as Chart
    const input = JSON.stringify({
      Values: values,
      Chart: { AppVersion: appVersion, Name: name },
      Release: { Name: 'demo' },
    })
    const templates = readdirSync(join(CHART, 'templates')).map((f) => join(CHART, 'templates', f))
    const { status, stderr, stdout } = spawnSync(program, templates, { input })
    expect(status, stderr.toString()).toBe(0)
    return parseAllDocuments(stdout.toString())
      .map((document) => {
        expect(document.errors).toEqual([])
        return document.toJS() as Manifest | null
      })
      .filter((manifest) => manifest !== null)
  }

  const all = (values: Values): void => {
    for (const { part } of PARTS) values[part].enabled = true
  }

  test('has a deployment and a service for each part that is enabled', () => {
    const kinds = (manifests: readonly Manifest[]) =>
      manifests
        .map(({ kind, metadata }) => `${kind} ${metadata.name}`)
        .sort((a, b) => (a < b ? -1 : 1))
    expect(kinds(render())).toEqual([
      'Deployment demo-crawler',
      'Deployment demo-log',
      'Job demo-migrate',
      'Service demo-crawler',
      'Service demo-log',
    ])
    expect(kinds(render(all))).toHaveLength(2 * PARTS.length + 1)
  })

  test('tables are made by their owner, to whom nothing else has the key', () => {
    const manifests = render(all)
    const job = manifests.find(({ kind }) => kind === 'Job')!
    const { containers, volumes } = job.spec.template.spec
    expect(containers.map(({ args }) => args.slice(0, 4))).toEqual([
      ['migrate', 'crawler', '--role', 'dslog_crawler'],
      ['migrate', 'log', '--role', 'dslog_log'],
    ])
    expect(JSON.stringify(volumes)).toContain('"dslog-owner"')
    const others = manifests.filter((manifest) => manifest !== job)
    expect(JSON.stringify(others)).not.toContain('dslog-owner')
  })

  test.each(PARTS)('the deployment of the $part', ({ args, part, service }) => {
    const manifests = render((values) => {
      all(values)
      values[part].env = { DSLOG_LOG_LEVEL: 'debug' }
    })
    const deployment = manifests.find(
      ({ kind, metadata }) => kind === 'Deployment' && metadata.name === `demo-${part}`,
    )!
    expect(deployment.apiVersion).toBe('apps/v1')
    const { replicas, selector, strategy, template } = deployment.spec
    expect(template.metadata.labels).toMatchObject(selector['matchLabels'] as object)
    const isShared = part in SEVERAL
    // A second log or monitor would refuse to start.
    expect(replicas).toBe(isShared ? SEVERAL[part as keyof typeof SEVERAL] : 1)
    expect(strategy.type).toBe(isShared ? 'RollingUpdate' : 'Recreate')

    const [container] = template.spec.containers
    expect(container!.args).toEqual(args)
    expect(container!.image).toMatch(/^ghcr\.io\/dslog\/dslog:\d+\.\d+\.\d+$/)
    expect(container!.securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    })
    expect(template.spec.securityContext).toMatchObject({ runAsNonRoot: true, runAsUser: 1000 })
    expect(container!.resources).toHaveProperty('limits.memory')
    const settings = settingsOf(service)
    const names = container!.env.map(({ name }) => name.replace(/_FILE$/, ''))
    expect(names.filter((name) => !settings.has(name))).toEqual([])
    expect(container!.env.at(-1)).toEqual({ name: 'DSLOG_LOG_LEVEL', value: 'debug' })
    const volumes = new Set(template.spec.volumes.map(({ name }) => name))
    expect(new Set(container!.volumeMounts.map(({ name }) => name))).toEqual(volumes)
    for (const { value } of container!.env.filter(({ name }) => name.endsWith('_FILE'))) {
      expect(
        container!.volumeMounts.some(({ mountPath }) => value.startsWith(`${mountPath}/`)),
      ).toBe(true)
    }

    const face = manifests.find(
      ({ kind, metadata }) => kind === 'Service' && metadata.name === `demo-${part}`,
    )!
    expect(template.metadata.labels).toMatchObject(face.spec.selector)
    const [port] = face.spec.ports
    expect(port).toMatchObject({
      port: Number(settings.get(`DSLOG_${service.toUpperCase()}_PORT`)),
      targetPort: 'http',
    })
    expect(container!.ports).toEqual([{ name: 'http', containerPort: port!.port }])
  })
})

interface Chart {
  readonly name: string
  readonly appVersion: string
}

type Values = Record<
  (typeof PARTS)[number]['part'],
  { enabled: boolean; env: Record<string, string> }
>
