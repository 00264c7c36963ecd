/** The keys that an owner has pinned in public, as a monitor tells, against those in force. */
import { useEffect, useState } from 'preact/hooks'
import type { PinsView } from '../api.ts'
import { inForce } from '../entries.ts'
import type { EntryModel } from '../protocol.ts'
import { checkText } from '../verifier.ts'
import { dateText, keyText } from '../words.ts'

export interface PinnedProps {
  /** Of the monitor. */
  readonly host: string
  readonly name: string
  readonly pins: readonly PinsView[]
  readonly entries: readonly EntryModel[]
}

export function Pinned({ entries, host, name, pins }: PinnedProps) {
  const all = pins.flatMap((statement) => statement.pins)
  const text = all.join('\n')
  const [allowed, setAllowed] = useState<readonly string[] | 'unreadable'>()
  useEffect(() => {
    let current = true
    void checkText({ task: 'pins', name, pins: text === '' ? [] : text.split('\n') })
      .then((checked) => ('allowed' in checked ? checked.allowed : []))
      .catch(() => 'unreadable' as const)
      .then((found) => {
        if (current) setAllowed(found)
      })
    return () => {
      current = false
    }
  }, [name, text])
  if (all.length === 0 || allowed === undefined) return null
  if (allowed === 'unreadable') {
    return <p class="quiet">The monitor at {host} shows pins of this name that make no sense.</p>
  }
  const keys = [...new Set(allowed.map(keyText))].join(' and ')
  const until = dateText(Math.max(...pins.map(({ notAfter }) => notAfter)))
  const now = inForce(entries)?.ds ?? []
  const odd = now.filter((ds) => !allowed.includes(ds))
  return (
    <>
      <p class="quiet">
        Its owner allows {keys} and no other, until {until}: so says the monitor at {host}, which
        has found the owner’s key in the signed zone.
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
