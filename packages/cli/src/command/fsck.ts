/** `dslog fsck`: a stored log, checked from end to end by the log's own code (@dslog/log/fsck). */
import { toBase64 } from '@dslog/tlog/bytes'
import { nodeBackend } from '@dslog/dnssec/backend/node'
import { fsck as check } from '@dslog/log/fsck'
import { counted } from '@dslog/verify/counted'
import { EXIT, Failure } from '../failure.ts'
import type { Progress } from '../progress.ts'
import type { Session } from '../session.ts'
import { openStoredLog } from '../stored.ts'

export async function fsck(session: Session): Promise<void> {
  const { output } = session
  const options = await openStoredLog(session)
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
        throw new Failure(EXIT.unverified, `${origin}: ${counted(problems.length, 'problem')}`)
      }
      output.line(
        `${origin}: ${counted(size, 'entry', 'entries')} about ${counted(names, 'name or zone', 'names and zones')}, all as they should be`,
      )
    } finally {
      await lock.release()
    }
  } finally {
    await options.db.close()
  }
}
