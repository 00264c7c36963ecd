/** The HTTP server of a service, for tests of single routes. */
import { Health } from '@dslog/service/health'
import { buildHttp, type Http, type HttpOptions } from '@dslog/service/http'
import { Metrics } from '@dslog/service/metrics'
import { silent } from './silent.ts'

export function quietHttp(options: Partial<HttpOptions> = {}): Promise<Http> {
  return buildHttp({
    info: { title: 'test', version: '1', description: 'test' },
    logger: silent,
    health: new Health(),
    metrics: new Metrics('test'),
    // How busy this machine is has no say in what is answered.
    pressure: false,
    ...options,
  })
}
