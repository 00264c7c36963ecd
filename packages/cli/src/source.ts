/**
 * A log to read: a running service, or the one in the data folder. The latter is opened in this
 * process and asked through the routes that a service would serve, without a socket; so commands have
 * one way to read a log, and verify the folder's as they would a stranger's.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { LogClient } from '@dslog/tlog/client'
import { HttpClient } from '@dslog/tlog/http'
import { buildLogHttp, LOG_FILES, openLog } from '@dslog/log/main'
import { FolderTarget } from '@dslog/log/publish/folder'
import { Health } from '@dslog/service/health'
import { createLogger } from '@dslog/service/log'
import { Metrics } from '@dslog/service/metrics'
import { readServiceConfig } from './config.ts'
import { EXIT, Failure } from './failure.ts'
import type { Session } from './session.ts'

/** Stands for the log of a folder in addresses; resolves nowhere (RFC 6761 section 6.4). */
const FOLDER_URL = 'http://data-folder.invalid'

/** A log to read, trusted in nothing. */
export interface LogSource {
  readonly url: string
  readonly http: HttpClient
  close(): Promise<void>
}

/**
 * The log that was named, that runs beside, or that lies in the data folder.
 *
 * @throws Failure `usage` if there is none
 */
export async function openSource(session: Session): Promise<LogSource> {
  const url = await session.logUrl()
  if (url !== undefined) return { url, http: session.http(), close: async () => {} }
  const { data } = session
  const isHere =
    session.config.databaseUrl !== undefined || existsSync(join(data, LOG_FILES.database))
  if (!isHere) {
    throw new Failure(
      EXIT.usage,
      `which log? There is none in ${data}: give --log URL or --data DIR, or start one with \`dslog up\``,
    )
  }
  return openFolder(session)
}

/** Reads a folder of static files as if a web server served it, so that clients need not know. */
export function folderHttp(folder: string): { url: string; http: HttpClient } {
  const target = new FolderTarget(folder)
  const fetch = async (url: string): Promise<Response> => {
    const data = await target.read(url.slice(FOLDER_URL.length + 1))
    return new Response(data && new Uint8Array(data), { status: data === undefined ? 404 : 200 })
  }
  return { url: FOLDER_URL, http: new HttpClient({ fetch, now: Date.now, random: Math.random }) }
}

/** A client of a log that verifies all it reads. */
export async function clientOf(session: Session, source: LogSource): Promise<LogClient> {
  return new LogClient(source.url, await session.policy(), source.http)
}

async function openFolder(session: Session): Promise<LogSource> {
  const { log: config } = readServiceConfig(session.serviceEnv())
  const logger = createLogger({ service: 'log', level: 'silent' })
  const opened = await openLog({ config, logger })
  const app = await buildLogHttp(opened, config, {
    logger,
    health: new Health(),
    metrics: new Metrics('log'),
  })
  const fetch = async (url: string): Promise<Response> => {
    const {
      headers,
      rawPayload,
      statusCode: status,
    } = await app.inject(url.slice(FOLDER_URL.length))
    const pairs = Object.entries(headers).map(([name, value]) => [name, String(value)] as const)
    return new Response(new Uint8Array(rawPayload), { status, headers: pairs.map((p) => [...p]) })
  }
  return {
    url: FOLDER_URL,
    http: new HttpClient({ fetch, now: Date.now, random: Math.random }),
    async close() {
      await app.close()
      await opened.close()
    },
  }
}
