/** The history of a name as it is stored in its row. */
import { ByteReader, ByteWriter } from '@dslog/tlog/binary'
import { asHash } from '@dslog/tlog/hash'
import type { History, LoggedState } from '@dslog/verify/history'

const HISTORICAL = 1
const OUT_OF_ORDER = 2
const PRESENT = 4

/** Bytes of one entry of a history. */
export const STATE_SIZE = 57

/** `n × (u64 index | [32] state_id | u64 order key | u64 time | u8 flags)`: 57 bytes an entry; a view, to be stored at once. */
export function encodeHistory(history: History): Uint8Array {
  const w = new ByteWriter()
  for (const state of history) {
    w.u64(state.index).bytes(state.stateId).u64(state.orderKey).u64(state.time)
    const flags = (state.historical ? HISTORICAL : 0) + (state.outOfOrder ? OUT_OF_ORDER : 0)
    w.u8(flags + (state.present ? PRESENT : 0))
  }
  return w.view()
}

/** The inverse of {@link encodeHistory}, without entries at or above index `below`. */
export function decodeHistory(bytes: Uint8Array, below: number = Number.MAX_SAFE_INTEGER): History {
  const r = new ByteReader(bytes)
  const history: LoggedState[] = []
  while (r.remaining > 0) {
    const index = r.u64()
    const stateId = asHash(r.bytes(32))
    const orderKey = r.u64()
    const time = r.u64()
    const flags = r.u8()
    if (index >= below) break
    const historical = (flags & HISTORICAL) !== 0
    const outOfOrder = (flags & OUT_OF_ORDER) !== 0
    const present = (flags & PRESENT) !== 0
    history.push({ index, stateId, orderKey, time, historical, outOfOrder, present })
  }
  return history
}
