/** `dslog rebuild-map`: what a stored log derives from its entries, made anew (@dslog/log/restore). */
import { nodeBackend } from '@dslog/dnssec/backend/node'
import { rebuildMap } from '@dslog/log/rebuild'
import { counted } from '@dslog/verify/counted'
import type { Progress } from '../progress.ts'
import type { Session } from '../session.ts'
import { openStoredLog } from '../stored.ts'

export async function rebuild(session: Session): Promise<void> {
  const { output } = session
  const options = await openStoredLog(session)
  try {
    let bar: Progress | undefined
    const { names, origin, size } = await rebuildMap(options, nodeBackend(), (done, all) => {
      bar ??= output.progress('Rebuilding', all)
      bar.step(done)
    })
    bar?.end()
    output.event({ event: 'rebuilt', origin, size, names })
    output.line(
      `${origin}: the map of ${counted(names, 'name or zone', 'names and zones')} is that of ${counted(size, 'entry', 'entries')}`,
    )
  } finally {
    await options.db.close()
  }
}
