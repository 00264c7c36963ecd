/** What a monitor says of a name, compared with what the log shows here. */
import { counted } from '@dslog/verify/counted'
import { AskError, type MonitorNameView } from '../api.ts'
import type { Opinion } from '../opinion.ts'
import type { Proven } from '../protocol.ts'

export function MonitorOpinion({
  opinion: { host, view },
  proven,
}: {
  opinion: Opinion
  proven: Proven
}) {
  if (view === 'none') {
    return <p class="quiet">The monitor at {host} does not follow this log.</p>
  }
  if (view instanceof AskError) {
    return <p class="quiet">No second opinion: {view.message}</p>
  }
  return <Compared host={host} view={view} proven={proven} />
}

function Compared({
  host,
  proven: { entries, tree },
  view,
}: {
  host: string
  view: MonitorNameView
  proven: Proven
}) {
  // Either may be ahead: what both have come to is compared.
  const both = Math.min(view.size, tree.size)
  const theirs = view.indices.filter((index) => index < both)
  const ours = entries.map(({ index }) => index).filter((index) => index < both)
  if (theirs.join() !== ours.join()) {
    return (
      <p class="notice alarm" role="alert">
        The monitor at {host} saw other entries of this name than the log shows you.
      </p>
    )
  }
  const missing = entries.length - ours.length
  const later =
    missing === 0 ? '' : `; it has not come to the last ${counted(missing, 'change')} yet`
  return (
    <p class="quiet">
      The monitor at {host}, which replays the whole log, says the same{later}.
    </p>
  )
}
