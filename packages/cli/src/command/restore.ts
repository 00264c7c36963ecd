/**
 * `dslog restore`: a database that is older than what was signed, brought up to the published tree
 * (@dslog/log/restore). Whom to trust is not asked: it is the log's own key.
 */
import { access } from 'node:fs/promises'
import { join } from 'node:path'
import { LogClient } from '@dslog/tlog/client'
import { formatVkey } from '@dslog/tlog/key'
import { policyOfLog } from '@dslog/tlog/policy'
import { nodeBackend } from '@dslog/dnssec/backend/node'
import { restore } from '@dslog/log/restore'
import { counted } from '@dslog/verify/counted'
import { isHttpUrl } from '../argument.ts'
import type { Progress } from '../progress.ts'
import type { Session } from '../session.ts'
import { folderHttp } from '../source.ts'
import { openStoredLog } from '../stored.ts'

export interface RestoreOptions {
  /** URL or folder of the published files. */
  readonly from: string
  readonly withoutSigner?: boolean
}

export async function restoreLog(
  session: Session,
  { from: source, withoutSigner = false }: RestoreOptions,
): Promise<void> {
  const { output } = session
  const isUrl = isHttpUrl(source)
  // Asked for now: later on it would be a log that does not answer.
  if (!isUrl) await access(join(source, 'checkpoint'))
  const { http, url } = isUrl ? { http: session.http(), url: source } : folderHttp(source)
  const options = await openStoredLog(session, { lost: true })
  try {
    const policy = policyOfLog(...options.signers.map(({ key }) => formatVkey(key)))
    const client = new LogClient(url, policy, http)
    let bar: Progress | undefined
    const onProgress = (done: number, all: number): void => {
      bar ??= output.progress('Restoring', all)
      bar.step(done)
    }
    const backend = nodeBackend()
    const { from, origin, size } = await restore(options, {
      client,
      backend,
      withoutSigner,
      onProgress,
    })
    bar?.end()
    output.event({ event: 'restored', origin, from, size, entries: size - from })
    output.line(
      from === size
        ? `${origin}: nothing is missing: it has ${counted(size, 'entry', 'entries')}`
        : `${origin}: entries ${from} to ${size - 1} are back; the log can be started`,
    )
  } finally {
    await options.db.close()
  }
}
