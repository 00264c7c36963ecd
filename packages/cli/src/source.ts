/**
 * A log to read: a running service, or the one in the data folder (local-source.ts). Commands have one
 * way to read a log, and verify the folder's as they would a stranger's.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { LogClient } from '@dslog/tlog/client'
import { HttpClient } from '@dslog/tlog/http'
import { LOG_FILES } from '@dslog/log/files'
import { FolderTarget } from '@dslog/log/publish/folder'
import { EXIT, Failure } from './failure.ts'
import type { Session } from './session.ts'

/** Stands for the log of a folder in addresses; resolves nowhere (RFC 6761 section 6.4). */
export const FOLDER_URL = 'http://data-folder.invalid'

/** A log to read, trusted in nothing. */
export interface LogSource {
  readonly url: string
  /** For people. */
  readonly name: string
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
  if (url !== undefined) return servedAt(url, session.http())
  const { data } = session
  const isHere =
    session.config.databaseUrl !== undefined || existsSync(join(data, LOG_FILES.database))
  if (!isHere) {
    throw new Failure(
      EXIT.usage,
      `which log? There is none in ${data}: give --log URL or --data DIR, or start one with \`dslog up\``,
    )
  }
  const { openLocalSource } = await import('./local-source.ts')
  return openLocalSource(session)
}

/** A log that a service, or any web server, serves. */
export function servedAt(url: string, http: HttpClient): LogSource {
  return { url, name: url, http, close: async () => {} }
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
