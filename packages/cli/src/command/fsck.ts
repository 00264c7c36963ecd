/** `dslog fsck`: a stored log, checked from end to end by the log's own code (@dslog/log/fsck). */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { toBase64 } from '@dslog/tlog/bytes'
import { nodeBackend } from '@dslog/dnssec/backend/node'
import { fsck as check } from '@dslog/log/fsck'
import { LOG_FILES, openLogDatabase } from '@dslog/log/main'
import { createLogger } from '@dslog/service/log'
import { readServiceConfig } from '../config.ts'
import { EXIT, Failure } from '../failure.ts'
import type { Progress } from '../progress.ts'
import type { Session } from '../session.ts'

export async function fsck(session: Session): Promise<void> {
  const { data, output } = session
  const { log: config } = readServiceConfig(session.serviceEnv())
  // Opening an embedded database creates it.
  if (config.databaseUrl === undefined && !existsSync(join(data, LOG_FILES.database))) {
    throw new Failure(EXIT.usage, `there is no log in ${data}: give --data DIR or set DATABASE_URL`)
  }
  const logger = createLogger({ service: 'log', level: 'silent' })
  const options = await openLogDatabase({ config, logger })
  try {
    // A log that grows meanwhile would look broken.
    const lock = await options.db.lockExclusive('log', () => {})
    try {
      let bar: Progress | undefined
      const report = await check(options, nodeBackend(), (done, size) => {
        bar ??= output.progress('Checking', size)
        bar.step(done)
      })
      bar?.end()
      const { names, origin, problems, size, violation } = report
      for (const problem of problems) {
        output.event({ event: 'problem', detail: problem })
        output.line(problem)
      }
      if (violation !== undefined) {
        const { entry, index, kind, reason } = violation
        output.event({ event: 'violation', kind, index, reason, entry: toBase64(entry) })
      }
      output.event({ event: 'summary', origin, size, names, problems: problems.length })
      if (problems.length > 0) {
        throw new Failure(EXIT.unverified, `${origin}: ${problems.length} problems`)
      }
      output.line(
        `${origin}: ${size} entries about ${names} names and zones, all as they should be`,
      )
    } finally {
      await lock.release()
    }
  } finally {
    await options.db.close()
  }
}
