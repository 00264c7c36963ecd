/** `dslog freeze`: ends a log for good. Its last tree is signed, cosigned and published, and nothing follows. */
import { Log } from '@dslog/log/log'
import { counted } from '@dslog/verify/counted'
import { readServiceConfig } from '../config.ts'
import { EXIT, Failure } from '../failure.ts'
import { quietLogger } from '../service.ts'
import type { Session } from '../session.ts'
import { openStoredLog } from '../stored.ts'

export async function freeze(session: Session, { yes = false }: { yes?: boolean }): Promise<void> {
  const { log: config } = readServiceConfig(session.serviceEnv())
  if (!yes) {
    throw new Failure(EXIT.usage, 'a frozen log takes no entry ever again: say so with --yes')
  }
  const logger = quietLogger('log', config, session.io)
  const options = await openStoredLog(session, { logger })
  try {
    const log = await Log.open(options)
    try {
      await log.freeze()
      const { note, origin, size } = log.published
      session.output.event({ event: 'frozen', origin, size, note })
      session.output
        .line(`${origin} is frozen at ${counted(size, 'entry', 'entries')}. Keep serving it; its last checkpoint:

${note.trimEnd()}`)
    } finally {
      log.giveUpWaiting()
      await log.close()
    }
  } finally {
    await options.db.close()
  }
}
