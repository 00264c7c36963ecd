/** The stored log that commands for operators work on: the tables themselves, not what they show. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { LogOptions } from '@dslog/log/log'
import { LOG_FILES } from '@dslog/log/files'
import { openLogDatabase } from '@dslog/log/main'
import { createLogger, type Logger } from '@dslog/service/log'
import { readServiceConfig } from './config.ts'
import { EXIT, Failure } from './failure.ts'
import type { Session } from './session.ts'

const SILENT = createLogger({ service: 'log', level: 'silent' })

/**
 * Opens the database of the log in the data folder, or of DATABASE_URL.
 *
 * @param options `lost`: the database itself may be gone; then the key shows that a log belongs there
 * @throws Failure `usage` if there is no log
 */
export async function openStoredLog(
  session: Session,
  { logger = SILENT, lost = false }: { readonly logger?: Logger; readonly lost?: boolean } = {},
): Promise<LogOptions> {
  const { data } = session
  const { log: config } = readServiceConfig(session.serviceEnv())
  // Opening an embedded database creates it.
  const marks = [LOG_FILES.database, ...(lost ? [LOG_FILES.key] : [])]
  const isHere = marks.some((mark) => existsSync(join(data, mark)))
  if (config.databaseUrl === undefined && !isHere) {
    throw new Failure(EXIT.usage, `there is no log in ${data}: give --data DIR or set DATABASE_URL`)
  }
  return openLogDatabase({ config, logger })
}
