/**
 * The log of the data folder as a log to read: opened in this process and asked through the routes that a
 * service would serve, without a socket.
 */
import { HttpClient } from '@dslog/tlog/http'
import { buildLogHttp } from '@dslog/log/http'
import { openLog } from '@dslog/log/main'
import { Health } from '@dslog/service/health'
import { createLogger } from '@dslog/service/log'
import { Metrics } from '@dslog/service/metrics'
import { readServiceConfig } from './config.ts'
import type { Session } from './session.ts'
import { FOLDER_URL, type LogSource } from './source.ts'

/** Opens it. */
export async function openLocalSource(session: Session): Promise<LogSource> {
  const { log: config } = readServiceConfig(session.serviceEnv())
  const logger = createLogger({ service: 'log', level: 'silent' })
  const opened = await openLog({ config, logger })
  const reporting = { logger, health: new Health(), metrics: new Metrics('log') }
  // Nobody but this command asks, and nobody else is kept waiting.
  const limits = { pressure: false, rateLimit: false } as const
  const app = await buildLogHttp(opened.context, config, reporting, limits)
  const fetch = async (url: string): Promise<Response> => {
    const {
      headers,
      rawPayload,
      statusCode: status,
    } = await app.inject(url.slice(FOLDER_URL.length))
    const pairs = Object.entries(headers).map(([name, value]): [string, string] => {
      return [name, String(value)]
    })
    return new Response(new Uint8Array(rawPayload), { status, headers: pairs })
  }
  return {
    url: FOLDER_URL,
    name: `the log in ${session.data}`,
    http: new HttpClient({ fetch, now: Date.now, random: Math.random }),
    async close() {
      await app.close()
      await opened.close()
    },
  }
}
