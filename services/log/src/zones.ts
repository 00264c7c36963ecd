/**
 * Whose signatures are admitted (admission rule 1, docs/spec/entry.md): the root, top-level domains,
 * delegated public suffixes of the ICANN section, and what the operator adds. Anyone with a signed
 * domain of his own could otherwise mint entries without end.
 */
import { getPublicSuffix } from 'tldts'
import { labelCount, type Name, nameKey, nameToText } from '@dslog/dnssec/name'

/** Which signing zones a log admits. */
export class ZoneList {
  /** Zones of the operator's choice. */
  readonly added: readonly Name[]
  readonly #added: ReadonlySet<string>

  /** @param added zones of the operator's choice */
  constructor(added: readonly Name[] = []) {
    this.added = added
    this.#added = new Set(added.map(nameKey))
  }

  /** Whether entries signed by this zone are admitted. */
  admits(zone: Name): boolean {
    if (labelCount(zone) <= 1 || this.#added.has(nameKey(zone))) return true
    const text = nameToText(zone).slice(0, -1)
    // The library works on host names; a label that is none is no public suffix.
    if (!/^[a-z0-9.-]+$/.test(text)) return false
    return getPublicSuffix(text, { allowPrivateDomains: false }) === text
  }

  /** The rule in words, for `/v1/log`. */
  describe(): string[] {
    return [
      '.',
      'top-level domains',
      'public suffixes (ICANN section)',
      ...this.added.map(nameToText),
    ]
  }
}
