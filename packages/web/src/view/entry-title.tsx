/** What an entry says, by itself: not what it changed, which takes the entries before it. */
import { counted } from '@dslog/verify/counted'
import type { EntryModel } from '../protocol.ts'
import { hrefOf } from '../route.ts'

export function EntryTitle({ entry }: { entry: EntryModel }) {
  const { ds = [], keyCount = 0, name = '', type } = entry
  switch (type) {
    case 'ds':
      return (
        <>
          <a href={hrefOf({ page: 'name', name })}>{name}</a> has {counted(ds.length, 'DS record')}
        </>
      )
    case 'no-ds':
      return (
        <>
          <a href={hrefOf({ page: 'name', name })}>{name}</a> has {entry.absence ?? 'no DS'}
        </>
      )
    case 'zone-keys':
      return (
        <>
          Keys of <a href={hrefOf({ page: 'zone', name })}>{name === '.' ? 'the root' : name}</a>
        </>
      )
    case 'map-head':
      return <>The index of {counted(keyCount, 'name')}, which ends a tree</>
    case 'unknown':
      return <>A kind of entry that this page does not know</>
  }
}
