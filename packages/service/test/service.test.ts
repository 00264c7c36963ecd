import { sql } from 'kysely'
import { describe, expect, it, onTestFinished } from 'vitest'
import { COMMON, readConfig } from '@dslog/service/config'
import { buildHttp } from '@dslog/service/http'
import { createLogger } from '@dslog/service/log'
import { Metrics } from '@dslog/service/metrics'
import { Lifecycle } from '@dslog/service/run'
import { openServiceDatabase, serviceOf, type ServicePlan } from '@dslog/service/service'
import { serviceConfig } from '@dslog/service/serviceconfig'
import { databases } from './database.ts'

const { postgres } = await databases()

const logger = createLogger({ service: 'test', level: 'silent' })
const TABLE = { ...COMMON, ...serviceConfig('LOG', '8080') }

function configOf(env: Record<string, string>) {
  return readConfig({ log: TABLE }, env).log
}

/** A service that writes down what happens to it. */
function recorded(told: string[], override: Partial<ServicePlan<Thing>> = {}) {
  const part = (name: string) => ({
    name,
    start: ({ id }: Thing) => void told.push(`+${name} of ${id}`),
    stop: ({ id }: Thing) => void told.push(`-${name} of ${id}`),
  })
  return serviceOf<Thing>({
    name: 'thing',
    config: configOf({ DSLOG_LOG_PORT: '0' }),
    logger,
    async open({ health }) {
      told.push('+store')
      health.ready('store', () => undefined)
      return { id: 7, close: async () => void told.push('-store') }
    },
    parts: [part('a'), part('b')],
    http: async ({ id }, reporting) => {
      const info = { title: 'thing', version: '1', description: 'A thing' }
      const app = await buildHttp({ ...reporting, info, pressure: false })
      app.get('/id', async () => String(id))
      app.addHook('onClose', async () => void told.push('-http'))
      return app
    },
    ...override,
  })
}

interface Thing {
  readonly id: number
  close(): Promise<void>
}

describe('serviceOf', () => {
  it('opens, starts parts, listens; and the reverse', async () => {
    const told: string[] = []
    const service = recorded(told)
    expect(service.port()).toBe(0)
    expect(() => service.opened()).toThrow('the thing has not been opened')
    const life = new Lifecycle(service.components, logger)
    onTestFinished(() => life.stop())
    await life.start()
    const url = `http://127.0.0.1:${service.port()}`
    expect(await (await fetch(`${url}/id`)).text()).toBe('7')
    expect(await (await fetch(`${url}/readyz`)).json()).toMatchObject({ checks: { store: 'ok' } })
    expect(await (await fetch(`${url}/metrics`)).text()).toContain('service="thing"')
    expect(service.opened().id).toBe(7)
    await life.stop()
    await expect(fetch(`${url}/id`)).rejects.toThrow('fetch failed')
    expect(told).toEqual(['+store', '+a of 7', '+b of 7', '-http', '-b of 7', '-a of 7', '-store'])
  })

  it('closes what it opened if a part cannot start', async () => {
    const told: string[] = []
    const parts = [{ name: 'a', start: () => Promise.reject(new Error('no way')) }]
    const life = new Lifecycle(recorded(told, { parts }).components, logger)
    await expect(life.start()).rejects.toThrow('no way')
    expect(told).toEqual(['+store', '-store'])
  })

  it('closes what it opened if the port is taken', async () => {
    const first = recorded([])
    const life = new Lifecycle(first.components, logger)
    onTestFinished(() => life.stop())
    await life.start()
    const told: string[] = []
    const config = configOf({ DSLOG_LOG_PORT: String(first.port()) })
    const second = new Lifecycle(recorded(told, { config, parts: [] }).components, logger)
    await expect(second.start()).rejects.toThrow('EADDRINUSE')
    expect(told).toEqual(['+store', '-store'])
  })

  it('ends the process when its store says so', async () => {
    let lose: (error: unknown) => void = () => {}
    const service = recorded([], {
      async open(_reporting, fail) {
        lose = fail
        return { id: 1, close: async () => {} }
      },
    })
    const life = new Lifecycle(service.components, logger)
    onTestFinished(() => life.stop())
    await life.start()
    lose(new Error('the server is gone'))
    expect(await life.failed).toMatchObject({ message: 'the server is gone' })
  })

  it('counts in the metrics that it is given', async () => {
    const metrics = new Metrics('other')
    const service = recorded([], { metrics })
    const life = new Lifecycle(service.components, logger)
    onTestFinished(() => life.stop())
    await life.start()
    const text = await (await fetch(`http://127.0.0.1:${service.port()}/metrics`)).text()
    expect(text).toContain('service="other"')
  })
})

describe('serviceConfig', () => {
  it('begins its names with that of the service', () => {
    const names = Object.values(serviceConfig('CRAWLER', '1')).map(({ name }) => name)
    expect(names).toEqual([
      'DSLOG_CRAWLER_HOST',
      'DSLOG_CRAWLER_PORT',
      'DSLOG_CRAWLER_TRUST_PROXY',
      'DSLOG_CRAWLER_POOL_SIZE',
      'DSLOG_ANCHORS',
    ])
  })

  it('listens on the loopback unless told', () => {
    expect(configOf({})).toMatchObject({ host: '127.0.0.1', port: 8080, trustProxy: [] })
    expect(() => configOf({ DSLOG_LOG_PORT: '65536' })).toThrow('DSLOG_LOG_PORT')
    expect(() => configOf({ DSLOG_LOG_POOL_SIZE: '1' })).toThrow('DSLOG_LOG_POOL_SIZE')
  })
})

describe('openServiceDatabase', () => {
  it.runIf(postgres !== undefined)('keeps to a schema of its own, and shows its name', async () => {
    const config = configOf({ DATABASE_URL: postgres!.url })
    const db = await openServiceDatabase('thing', { config, logger })
    onTestFinished(() => db.close())
    const { rows } = await sql`
      select current_schema() as schema, current_setting('application_name') as name
    `.execute(db.kysely)
    expect(rows).toEqual([{ schema: 'thing', name: 'dslog-thing' }])
  })
})
