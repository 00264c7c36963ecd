import { afterEach, describe, expect, it, vi } from 'vitest'
import { Health } from '@dslog/service/health'
import { createLogger } from '@dslog/service/log'
import { Metrics } from '@dslog/service/metrics'

afterEach(() => vi.useRealTimers())

describe('Health', () => {
  it('is well without checks', async () => {
    const health = new Health()
    expect(await health.checkLive()).toEqual({ ok: true, checks: {} })
    expect(await health.checkReady()).toEqual({ ok: true, checks: {} })
  })

  it('counts what must live for readiness too, not the other way round', async () => {
    const health = new Health()
    health.live('loop', () => 'ended')
    health.ready('database', async () => undefined)
    expect(await health.checkLive()).toEqual({ ok: false, checks: { loop: 'ended' } })
    expect(await health.checkReady()).toEqual({
      ok: false,
      checks: { loop: 'ended', database: 'ok' },
    })
  })

  it('keeps to itself what a check throws', async () => {
    const lines: string[] = []
    const logger = createLogger({ service: 't', destination: { write: (l) => lines.push(l) } })
    const health = new Health(logger)
    health.ready('database', () => {
      throw new Error('connect ECONNREFUSED 10.0.0.5')
    })
    health.ready('other', () => Promise.reject(new Error('x')))
    expect(await health.checkReady()).toEqual({
      ok: false,
      checks: { database: 'failed', other: 'failed' },
    })
    expect(lines.join('')).toContain('10.0.0.5')
  })

  it('does not wait for a check that hangs', async () => {
    vi.useFakeTimers()
    const health = new Health()
    health.ready('database', () => new Promise(() => {}))
    const report = health.checkReady()
    await vi.runAllTimersAsync()
    expect(await report).toEqual({ ok: false, checks: { database: 'no answer' } })
  })

  it('is not ready while it stops, but lives', async () => {
    const health = new Health()
    health.stopping()
    expect(await health.checkReady()).toEqual({ ok: false, checks: { process: 'stopping' } })
    expect((await health.checkLive()).ok).toBe(true)
  })
})

describe('Metrics', () => {
  it('keeps a registry per service', async () => {
    const [log, monitor] = [new Metrics('log'), new Metrics('monitor')]
    log
      .counter({ name: 'dslog_leaves_total', help: 'Leaves', labels: ['kind'] })
      .inc({ kind: 'ds' })
    monitor.counter({ name: 'dslog_leaves_total', help: 'Leaves' }).inc(5)
    expect((await log.render()).text).toContain('dslog_leaves_total{kind="ds",service="log"} 1')
    expect((await monitor.render()).text).toContain('dslog_leaves_total{service="monitor"} 5')
    expect((await log.render()).text).toContain('process_cpu_seconds_total{service="log"}')
  })

  it('collects gauges when asked, and counts distributions', async () => {
    const metrics = new Metrics('log')
    let size = 3
    metrics.gauge({ name: 'dslog_size', help: 'Size', collect: (gauge) => gauge.set(size) })
    const seconds = metrics.histogram({ name: 'dslog_seconds', help: 'Time', buckets: [1, 10] })
    seconds.series({}).observe(5)
    expect((await metrics.render()).text).toContain('dslog_size{service="log"} 3')
    size = 4
    const { text } = await metrics.render()
    expect(text).toContain('dslog_size{service="log"} 4')
    expect(text).toContain('dslog_seconds_bucket{le="1",service="log"} 0')
    expect(text).toContain('dslog_seconds_bucket{le="10",service="log"} 1')
    expect(text).toContain('dslog_seconds_bucket{le="+Inf",service="log"} 1')
    expect(text).toContain('dslog_seconds_sum{service="log"} 5')
    expect(text).toContain('dslog_seconds_count{service="log"} 1')
  })

  it('counts apart what is observed under different labels, a bound in its own bucket', async () => {
    const metrics = new Metrics('log')
    const seconds = metrics.histogram({
      name: 'dslog_seconds',
      help: 'Time',
      labels: ['route'],
      buckets: [1, 10],
    })
    for (const value of [1, 2, 11]) seconds.series({ route: '/a' }).observe(value)
    seconds.series({ route: '/b' }).observe(10)
    const { text } = await metrics.render()
    const lines = text.split('\n').filter((line) => line.startsWith('dslog_seconds'))
    const of = (route: string) => lines.filter((line) => line.includes(`route="${route}"`))
    expect(of('/a').map((line) => line.split(' ')[1])).toEqual(['1', '2', '3', '14', '3'])
    expect(of('/b').map((line) => line.split(' ')[1])).toEqual(['0', '1', '1', '10', '1'])
    expect(text).toContain('# TYPE dslog_seconds histogram')
  })
})

describe('createLogger', () => {
  it('writes a JSON object a line, with the path of a request but not its query', () => {
    const lines: string[] = []
    const logger = createLogger({ service: 's', destination: { write: (l) => lines.push(l) } })
    logger.debug('not written')
    logger.info(
      { req: { id: 'r', method: 'GET', url: '/confirm?token=hunter2', ip: '::1', headers: {} } },
      'asked',
    )
    expect(lines.map((line) => JSON.parse(line))).toEqual([
      {
        level: 'info',
        time: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
        service: 's',
        req: { id: 'r', method: 'GET', path: '/confirm', remote: '::1' },
        msg: 'asked',
      },
    ])
  })
})
