/**
 * Records that somebody saw, in whatever form they come: a zone file, what dig prints, a resolver's cache
 * (`unbound-control dump_cache`, `rndc dumpdb`), or DNS messages as they came, one, or several as over
 * TCP, each behind its length. What is no record is passed over: dumps are full of other things. Nothing
 * here is believed; signatures are what counts in the end.
 */
import { ByteReader } from '@dslog/tlog/binary'
import { TlogError } from '@dslog/tlog/error'
import { DnssecError } from '@dslog/dnssec/error'
import { HEADER_BYTES, parseMessage } from '@dslog/dnssec/message'
import { CLASS_IN, type RR } from '@dslog/dnssec/records'
import { parseZoneFile } from '@dslog/dnssec/zonefile'
import { readWhole } from '@dslog/service/input'
import { EXIT, Failure } from './failure.ts'

/** Most that is read: the cache of a busy resolver. Records take some ten times as much in memory. */
export const MAX_SEEN_BYTES: number = 256 * 1024 * 1024

/** Where bytes that no text has would be. */
const LOOKED_AT = 512

/**
 * Reads records.
 *
 * @throws Failure for more than is read, and for nothing
 */
export async function readSeen(input: AsyncIterable<Uint8Array>): Promise<RR[]> {
  const whole = await readWhole(input, MAX_SEEN_BYTES, () => {
    return new Failure(EXIT.usage, `more than ${MAX_SEEN_BYTES} bytes`)
  })
  // A Buffer's `slice` does not copy; nothing behind this line knows Buffers.
  const bytes = new Uint8Array(whole.buffer, whole.byteOffset, whole.length)
  // The count of questions in a message has a zero in it, and so has the length in front of one.
  const isText = !bytes.subarray(0, LOOKED_AT).includes(0)
  const records = (isText ? fromText(bytes) : fromMessages(bytes)).filter((rr) => {
    return rr.class === CLASS_IN
  })
  if (records.length > 0) return records
  throw new Failure(EXIT.usage, 'no DNS records: neither zone format nor DNS messages')
}

function fromText(bytes: Uint8Array): RR[] {
  try {
    return parseZoneFile(bytes)
  } catch (error) {
    if (!(error instanceof DnssecError)) throw error
  }
  // A dump: a record a line, among other lines. The owner may stand in the first of several only.
  const records: RR[] = []
  let owner = ''
  for (const line of new TextDecoder().decode(bytes).split('\n')) {
    if (/^[;$]/.test(line)) continue
    const [first = ''] = line.split(/\s/, 1)
    if (first !== '') owner = first
    try {
      records.push(...parseZoneFile(first === '' ? owner + line : line))
    } catch (error) {
      if (!(error instanceof DnssecError)) throw error
    }
  }
  return records
}

function fromMessages(bytes: Uint8Array): RR[] {
  const one = messageIn(bytes)
  if (one !== undefined) return one
  const records: RR[] = []
  const reader = new ByteReader(bytes)
  try {
    for (let isFirst = true; reader.remaining > 0; isFirst = false) {
      const message = reader.bytes(reader.u16())
      const seen = messageIn(message)
      // Something else: its bytes are not looked at one by one.
      if (seen === undefined && (isFirst || message.length < HEADER_BYTES)) break
      records.push(...(seen ?? []))
    }
  } catch (error) {
    // The last one is cut off.
    if (!(error instanceof TlogError)) throw error
  }
  return records
}

function messageIn(bytes: Uint8Array): RR[] | undefined {
  try {
    const { answer, authority, qr } = parseMessage(bytes)
    return qr ? [...answer, ...authority] : []
  } catch (error) {
    if (!(error instanceof DnssecError)) throw error
    return undefined
  }
}
