/** The HTTP server of a log: its routes, over what services have alike. */
import { buildHttp, type Http, type HttpOptions } from '@dslog/service/http'
import type { Serving } from '@dslog/service/service'
import type { LogConfig } from './config.ts'
import type { LogContext } from './route/context.ts'
import { changeRoutes } from './route/changes.ts'
import { entryRoutes } from './route/entries.ts'
import { explorerRoutes } from './route/explorer.ts'
import { nameRoutes } from './route/names.ts'
import { observationRoutes } from './route/observations.ts'
import { proofRoutes } from './route/proofs.ts'
import { tileRoutes } from './route/tiles.ts'

/** The HTTP server of a log. @param limits in the place of the usual ones: whoever asks himself needs none */
export async function buildLogHttp(
  context: LogContext,
  { rateLimit, trustProxy }: LogConfig,
  serving: Serving,
  limits: Pick<HttpOptions, 'pressure' | 'rateLimit'> = {},
): Promise<Http> {
  const app = await buildHttp({
    info: {
      title: 'dslog',
      version: '1',
      description: 'A transparency log for DNSSEC delegations',
    },
    ...serving,
    trustProxy,
    rateLimit: { max: rateLimit, window: 60_000 },
    ...limits,
  })
  tileRoutes(app, context)
  entryRoutes(app, context)
  proofRoutes(app, context)
  nameRoutes(app, context)
  changeRoutes(app, context)
  observationRoutes(app, context)
  await explorerRoutes(app, context)
  return app
}
