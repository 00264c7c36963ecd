/** Files of a log in order, some of them on their way before they are needed: what hides the latency of each. */

/** Files under way at once: enough to hide the latency of one, few enough for one client to be polite. */
export const DEFAULT_AHEAD = 8

/**
 * What `read` gives for each index of [first, end), in order. Whoever stops early ends what is under way.
 *
 * @throws what `read` throws, when it is that one's turn; the signal's reason
 */
export async function* readAhead<T>(
  first: number,
  end: number,
  read: (index: number, signal: AbortSignal) => Promise<T>,
  options: { readonly ahead?: number; readonly signal?: AbortSignal | undefined } = {},
): AsyncGenerator<T, void, undefined> {
  const { ahead = DEFAULT_AHEAD, signal } = options
  const ending = new AbortController()
  const stop = (): void => ending.abort(signal?.reason)
  if (signal?.aborted === true) stop()
  signal?.addEventListener('abort', stop)
  const underWay: Promise<T>[] = []
  let next = first
  try {
    for (;;) {
      while (next < end && underWay.length <= ahead) {
        const file = read(next, ending.signal)
        // Whoever awaits it sees the error; if nobody does any more, it is of no interest.
        file.catch(() => undefined)
        underWay.push(file)
        next++
      }
      const file = underWay.shift()
      if (file === undefined) return
      yield await file
    }
  } finally {
    signal?.removeEventListener('abort', stop)
    ending.abort()
  }
}
