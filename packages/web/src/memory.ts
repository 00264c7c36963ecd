/**
 * What this browser remembers of each log, by its URL: whom to trust, and the newest tree it verified.
 * Nothing of it leaves the browser. Where there is no storage (private windows, a full disk) it is
 * forgotten with the page.
 */
import type { Proven, Trust } from './protocol.ts'

/** What is remembered of a log. */
export interface LogMemory extends Pick<Trust, 'policy' | 'policyFrom' | 'since'> {
  readonly origin: string
  /** Trust anchors that the person accepted, if not the root's. */
  readonly anchors?: string
  /** Newest verified checkpoint. */
  readonly seen?: string
  readonly seenSize?: number
  /** URL of a monitor that the person chose. */
  readonly monitor?: string
}

/** What of `Storage` is used. */
export interface Store {
  getItem(key: string): string | null
  setItem(key: string, value: string): void
  removeItem(key: string): void
  key(index: number): string | null
  readonly length: number
}

const PREFIX = 'dslog/1 '

export class Memory {
  readonly #store: Store | undefined
  readonly #kept = new Map<string, LogMemory>()

  constructor(store: Store | undefined) {
    this.#store = store
    for (let i = 0; i < (store?.length ?? 0); i++) {
      const key = store?.key(i)
      if (key?.startsWith(PREFIX) !== true) continue
      const memory = readMemory(store?.getItem(key) ?? '')
      if (memory !== undefined) this.#kept.set(key.slice(PREFIX.length), memory)
    }
  }

  get(log: string): LogMemory | undefined {
    return this.#kept.get(log)
  }

  set(log: string, memory: LogMemory): void {
    this.#kept.set(log, memory)
    try {
      this.#store?.setItem(PREFIX + log, JSON.stringify(memory))
    } catch {
      // No room, or not allowed: it lasts as long as the page.
    }
  }

  forget(log: string): void {
    this.#kept.delete(log)
    this.#store?.removeItem(PREFIX + log)
  }

  /**
   * What is trusted of each log that was visited, by origin: for proof files. Any address can name itself by
   * an origin that another one has: what the person gave counts before what a log said, and what came first
   * before what came later.
   */
  trusts(): Record<string, Trust> {
    const leastTrusted = [...this.#kept.values()].sort(
      (a, b) => rankOf(a) - rankOf(b) || b.since - a.since,
    )
    return Object.fromEntries(leastTrusted.map((kept) => [kept.origin, trustOf(kept)]))
  }

  /** Keeps the tree of a verified answer if it is the largest so far. */
  saw(log: string, { tree }: Proven): void {
    const kept = this.#kept.get(log)
    if (kept === undefined || kept.origin !== tree.origin) return
    if (kept.seenSize !== undefined && kept.seenSize > tree.size) return
    this.set(log, { ...kept, seen: tree.note, seenSize: tree.size })
  }
}

export function trustOf({ anchors, policy, policyFrom, seen, since }: LogMemory): Trust {
  return { policy, policyFrom, since, anchors, seen }
}

function rankOf({ policyFrom }: LogMemory): number {
  return policyFrom === 'you' ? 1 : 0
}

/** Keys in the `log` lines of a policy. */
export function vkeysOf(policy: string): string[] {
  return policy.split('\n').flatMap((line) => /^[ \t]*log[ \t]+(\S+)/.exec(line)?.[1] ?? [])
}

// Another version of this page, or a person, may have written it.
function readMemory(text: string): LogMemory | undefined {
  try {
    const value = JSON.parse(text) as Partial<Record<keyof LogMemory, unknown>> | null
    const { anchors, monitor, origin, policy, policyFrom, seen, seenSize, since } = value ?? {}
    if (typeof origin !== 'string' || typeof policy !== 'string') return undefined
    if (typeof since !== 'number') return undefined
    if (policyFrom !== 'log' && policyFrom !== 'you') return undefined
    return {
      origin,
      policy,
      policyFrom,
      since,
      ...(typeof anchors === 'string' ? { anchors } : {}),
      ...(typeof monitor === 'string' ? { monitor } : {}),
      ...(typeof seen === 'string' && typeof seenSize === 'number' ? { seen, seenSize } : {}),
    }
  } catch {
    return undefined
  }
}
