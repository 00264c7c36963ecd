/** What a monitor, which replays the whole log by itself, has seen of a name, asked when the name is proven. */
import { useEffect, useState } from 'preact/hooks'
import { AskError, askMonitorOfName, type MonitorNameView, type PinsView } from './api.ts'
import type { Proven } from './protocol.ts'
import { monitorOf, useSession } from './session.ts'
import { checkText } from './verifier.ts'

/** The word of a monitor. */
export interface Opinion {
  /** Of the monitor. */
  readonly host: string
  /** `none`: it does not follow the log. */
  readonly view: MonitorNameView | 'none' | AskError
}

/** Undefined where there is no monitor, and until it has answered. */
export function useOpinion(name: string, { tree: { origin, root } }: Proven): Opinion | undefined {
  const monitor = monitorOf(useSession())
  const [opinion, setOpinion] = useState<Opinion>()
  useEffect(() => {
    if (monitor === undefined) return
    let current = true
    const { host } = new URL(monitor)
    void askMonitorOfName(monitor, name, origin)
      .then((view) => view ?? 'none')
      .catch((error: unknown) =>
        error instanceof AskError ? error : new AskError(0, String(error)),
      )
      .then((view) => {
        if (current) setOpinion({ host, view })
      })
    return () => {
      current = false
    }
  }, [monitor, name, origin, root])
  return monitor === undefined ? undefined : opinion
}

/** Which DS the owner of a name allows, by the pins that he shows in public. */
export interface Allowed {
  /** Of the monitor that says so. */
  readonly host: string
  /** DS in presentation form; `unreadable` where the pins make no sense. */
  readonly ds: readonly string[] | 'unreadable'
  /** When the last of the pins end, ms. */
  readonly until: number
}

const NO_PINS: readonly PinsView[] = []

/** Pins that are looked at: a statement has 32 at most, and few owners make more than one. */
const MAX_PINS = 256

/** Undefined where nothing is pinned, and until that is known. */
export function useAllowed(name: string, opinion: Opinion | undefined): Allowed | undefined {
  const view = opinion?.view
  const isView = view !== undefined && view !== 'none' && !(view instanceof AskError)
  const pins = isView ? view.pins : NO_PINS
  const text = pins.flatMap((statement) => statement.pins).join('\n')
  const [ds, setDs] = useState<Allowed['ds']>()
  useEffect(() => {
    setDs(undefined)
    if (text === '') return
    const all = text.split('\n')
    if (all.length > MAX_PINS) return setDs('unreadable')
    let current = true
    void checkText({ task: 'pins', name, pins: all })
      .then((checked) => ('allowed' in checked ? checked.allowed : []))
      .catch(() => 'unreadable' as const)
      .then((found) => {
        if (current) setDs(found)
      })
    return () => {
      current = false
    }
  }, [name, text])
  if (opinion === undefined || text === '' || ds === undefined) return undefined
  return { host: opinion.host, ds, until: Math.max(...pins.map(({ notAfter }) => notAfter)) }
}
