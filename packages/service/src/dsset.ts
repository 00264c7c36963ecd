/** A DS set as it is stored beside a name. */
import { ByteReader, ByteWriter } from '@dslog/tlog/binary'
import { readRecords, writeRecords } from '@dslog/schema/fields'

/** `u16 n | n × (u16 len | DS RDATA)`; a view, to be stored at once. */
export function encodeDsSet(ds: readonly Uint8Array[]): Uint8Array {
  const w = new ByteWriter()
  writeRecords(w, ds)
  return w.view()
}

/** The inverse of {@link encodeDsSet}. */
export function decodeDsSet(bytes: Uint8Array): Uint8Array[] {
  return readRecords(new ByteReader(bytes))
}
