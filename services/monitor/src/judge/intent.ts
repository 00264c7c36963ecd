/**
 * What the owner meant, from what can be known of it, the strongest first: pins under a key of the
 * owner's own; CDS or CDNSKEY of the child; a key that the child published beforehand, both under a
 * signature that hangs from the DS set in force before the change, which is the one thing that whoever
 * swaps a DS does not have; a change announced to this monitor; and "that was me", said afterwards.
 *
 * RFC 7344 §4 (CDS and CDNSKEY are to be validated through the current DS, and to be the same on all
 * servers), RFC 8078 §4 (a CDS that asks for removal), RFC 6781 §4.1 (how keys are rolled).
 */
import type { Child, DsSet, Sighting, State } from './state.ts'
import { has, names, sameSet } from './state.ts'

/** A time in which a change is to be expected, ms, ends included. */
export interface AnnouncedWindow {
  readonly begins: number
  readonly ends: number
  /** Whether the name may go unsigned in it. */
  readonly unsigned: boolean
}

/** What the owner of one subscription has told this monitor. */
export interface Intent {
  /** DS that a signed pin allows; undefined for an owner without pins, to whom any may be added. */
  readonly pins: DsSet | undefined
  /** DS of which the owner has said "that was me". They explain themselves, and forbid no others. */
  readonly acknowledged: DsSet
  readonly windows: readonly AnnouncedWindow[]
}

/** Of whoever has told nothing. */
export const SILENT: Intent = { pins: undefined, acknowledged: [], windows: [] }

/** Why an added DS is no surprise, for people; undefined if it is one. */
export type Explanation = string | undefined

/**
 * What explains a DS that was added.
 *
 * @param base the DS set in force before the change; empty for none
 */
export function explain(
  ds: Uint8Array,
  base: DsSet,
  state: State,
  child: Child,
  intent: Intent,
): Explanation {
  if (intent.pins !== undefined && has(intent.pins, ds)) return 'a pin of the owner allows it'
  const looks = sightingsUnder(child, base)
  if (looks.some(({ wanted }) => wanted !== undefined && names(ds, wanted))) {
    return 'the child had asked for it (CDS), signed with the keys before'
  }
  if (looks.some(({ keys }) => names(ds, keys))) {
    return 'the child had published the key, signed with the keys before'
  }
  if (windowAt(intent, state.time) !== undefined) return 'the owner had announced a change'
  if (has(intent.acknowledged, ds)) return 'the owner has acknowledged it'
  return undefined
}

/**
 * What explains that all DS are gone.
 *
 * @param base the DS set in force before the change
 */
export function explainRemoval(
  base: DsSet,
  state: State,
  child: Child,
  intent: Intent,
): Explanation {
  if (sightingsUnder(child, base).some(({ deletes }) => deletes)) {
    return 'the child had asked for it (CDS), signed with the keys before'
  }
  if (windowAt(intent, state.time)?.unsigned === true) {
    return 'the owner had announced that the name may go unsigned'
  }
  return undefined
}

/** Looks at the child whose keys this DS set vouched for. */
export function sightingsUnder({ sightings }: Child, base: DsSet): Sighting[] {
  return base.length === 0 ? [] : sightings.filter(({ under }) => sameSet(under, base))
}

/** A window that allows the most, of those that a time is in. */
function windowAt({ windows }: Intent, time: number): AnnouncedWindow | undefined {
  const open = windows.filter(({ begins, ends }) => begins <= time && time <= ends)
  return open.find(({ unsigned }) => unsigned) ?? open[0]
}
