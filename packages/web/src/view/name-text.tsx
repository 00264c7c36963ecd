/** A name, and beside it how it reads in its own script: two scripts can look the same, so never that alone. */
import { nameToUnicode } from '@dslog/dnssec/idn'
import { nameFromText } from '@dslog/dnssec/name'
import { DnssecError } from '@dslog/dnssec/error'

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

// A log may call a thing by what is no name.
function unicodeOf(name: string): string | undefined {
  try {
    return nameToUnicode(nameFromText(name))
  } catch (error) {
    if (error instanceof DnssecError) return undefined
    throw error
  }
}
