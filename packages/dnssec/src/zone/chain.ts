/** What both kinds of denial, NSEC and NSEC3, offer once the chain of a whole zone was found closed. */
import type { Name } from '../name.ts'
import type { TYPE } from '../records.ts'
import type { ZoneNode } from './contents.ts'

/** A closed chain of denial. */
export interface DenialChain {
  /** Which records it is made of. */
  readonly type: typeof TYPE.NSEC | typeof TYPE.NSEC3
  /** True if insecure delegations may have been left out of it (RFC 5155 §6). */
  readonly isOptOut: boolean
  /**
   * The owners of the records that prove there is no DS at `owner`, a name in the zone that has none
   * and lies below no cut: all that any of the eight kinds of proof needs, at most three.
   */
  proofOf(owner: Name): ZoneNode[]
}
