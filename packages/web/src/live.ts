/**
 * Changes as they are published: an event stream that is taken up again where it stopped. The browser
 * does so by itself after a cut; after an answer that is no stream it gives up, and then this does not.
 */
import { type ChangeView, isChange } from './api.ts'

/** Delay before the next try, ms; doubles up to the second. */
const FIRST_DELAY_MS = 1_000
const LAST_DELAY_MS = 60_000

export interface LiveHandlers {
  onChange(change: ChangeView): void
  onState(state: 'live' | 'waiting'): void
}

/** Follows a log from a cursor on, until the returned function is called. */
export function followChanges(log: string, from: number, handlers: LiveHandlers): () => void {
  let cursor = from
  let delay = FIRST_DELAY_MS
  let source: EventSource | undefined
  let timer: ReturnType<typeof setTimeout> | undefined

  function open(): void {
    const stream = new EventSource(`${log}/v1/changes?after=${cursor}`)
    source = stream
    stream.addEventListener('open', () => {
      delay = FIRST_DELAY_MS
      handlers.onState('live')
    })
    stream.addEventListener('change', ({ data, lastEventId }: MessageEvent<string>) => {
      cursor = Number(lastEventId)
      const change = readJson(data)
      if (isChange(change)) handlers.onChange(change)
    })
    stream.addEventListener('error', () => {
      handlers.onState('waiting')
      if (stream.readyState !== EventSource.CLOSED) return
      timer = setTimeout(open, delay)
      delay = Math.min(2 * delay, LAST_DELAY_MS)
    })
  }
  open()
  return () => {
    clearTimeout(timer)
    source?.close()
  }
}

function readJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined
  }
}
