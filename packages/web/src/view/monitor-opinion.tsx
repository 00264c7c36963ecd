/** What a monitor, which replays the whole log by itself, has seen of a name: its word, compared. */
import { useEffect, useState } from 'preact/hooks'
import { AskError, askMonitorOfName, type MonitorNameView } from '../api.ts'
import type { Proven } from '../protocol.ts'
import { monitorOf, useSession } from '../session.ts'
import { plural } from '../words.ts'
import { Pinned } from './pinned.tsx'

export function MonitorOpinion({ name, proven }: { name: string; proven: Proven }) {
  const monitor = monitorOf(useSession())
  const { origin, root } = proven.tree
  const [opinion, setOpinion] = useState<MonitorNameView | 'none' | AskError>()
  useEffect(() => {
    if (monitor === undefined) return
    let current = true
    void askMonitorOfName(monitor, name, origin)
      .then((view) => view ?? 'none')
      .catch((error: unknown) =>
        error instanceof AskError ? error : new AskError(0, String(error)),
      )
      .then((said) => {
        if (current) setOpinion(said)
      })
    return () => {
      current = false
    }
  }, [monitor, name, origin, root])
  if (monitor === undefined || opinion === undefined) return null
  const { host } = new URL(monitor)
  if (opinion === 'none') {
    return <p class="quiet">The monitor at {host} does not follow this log.</p>
  }
  if (opinion instanceof AskError) {
    return <p class="quiet">No second opinion: {opinion.message}</p>
  }
  return (
    <>
      <Compared host={host} view={opinion} proven={proven} />
      <Pinned host={host} name={name} pins={opinion.pins} entries={proven.entries} />
    </>
  )
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
    missing === 0 ? '' : `; it has not come to the last ${plural(missing, 'change')} yet`
  return (
    <p class="quiet">
      The monitor at {host}, which replays the whole log, says the same{later}.
    </p>
  )
}
