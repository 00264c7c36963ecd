/** A name, and beside it how it reads in its own script: two scripts can look the same, so never that alone. */
import { nameToUnicode } from '@dslog/dnssec/idn'
import { nameFromText } from '@dslog/dnssec/name'
import { DnssecError } from '@dslog/dnssec/error'
import { mixesScripts } from '../words.ts'

export function NameText({ name }: { name: string }) {
  const shown = unicodeOf(name)
  return (
    <span class="name">
      {name === '.' ? '. (the root)' : name}
      {shown === undefined ? null : (
        <>
          {' '}
          <span class="quiet" translate={false}>
            {shown}
          </span>
        </>
      )}
    </span>
  )
}

/** A remark on a name that mixes scripts as no word does, which is how one name is made to look like another. */
export function LookalikeNotice({ name }: { name: string }) {
  const shown = unicodeOf(name)
  if (shown === undefined || !shown.split('.').some(mixesScripts)) return null
  return (
    <p class="notice">
      This name mixes letters of several scripts, so it can look like another one. It is the name{' '}
      <code>{name}</code> and no other.
    </p>
  )
}

// A log may call a thing by what is no name.
function unicodeOf(name: string): string | undefined {
  try {
    return nameToUnicode(nameFromText(name))
  } catch (error) {
    if (error instanceof DnssecError) return undefined
    throw error
  }
}
