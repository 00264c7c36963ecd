/** The keys that an owner has pinned in public, as a monitor tells, against those in force. */
import { inForce } from '../entries.ts'
import type { Allowed } from '../opinion.ts'
import type { EntryModel } from '../protocol.ts'
import { dateText, keyText } from '../words.ts'

export function Pinned({
  allowed: { ds: allowed, host, until },
  entries,
}: {
  allowed: Allowed
  entries: readonly EntryModel[]
}) {
  if (allowed === 'unreadable') {
    return <p class="quiet">The monitor at {host} shows pins of this name that make no sense.</p>
  }
  const keys = [...new Set(allowed.map(keyText))].join(' and ')
  const now = inForce(entries)?.ds ?? []
  const odd = now.filter((ds) => !allowed.includes(ds))
  return (
    <>
      <p class="quiet">
        Its owner allows {keys} and no other, until {dateText(until)}: so says the monitor at {host}
        , which has found the owner’s key in the signed zone.
      </p>
      {odd.length === 0 && (now.length > 0 || entries.length === 0) ? null : (
        <p class="notice alarm" role="alert">
          {odd.length === 0
            ? 'There is no key in force any more, though the owner has pinned one.'
            : `The owner has not pinned what is in force: ${odd.map(keyText).join(' and ')}.`}
        </p>
      )}
    </>
  )
}
