/**
 * Zone transfers (AXFR, RFC 5936): the whole zone in messages of a TCP connection, the SOA first and
 * again last. A question for changes only (IXFR) is answered with the whole zone, too (RFC 1995 §4).
 */
import { RCODE } from '@dslog/dnssec/message'
import { TYPE, type RR } from '@dslog/dnssec/records'
import { OPT_BYTES, optOf, replyFlags } from './responder.ts'
import { MAX_MESSAGE_BYTES, Packet } from './packet.ts'
import { FLAG, type Query } from './query.ts'
import { MAX_TSIG_BYTES } from './tsig.ts'

/** Size of a message of a transfer: names behind this cannot be pointed at, so more saves little. */
const MESSAGE_BYTES = 16_384

/**
 * The messages of a transfer; the question stands in the first alone (RFC 5936 §2.2.1).
 * @param records of the zone, the SOA first
 */
export function* transferMessages(query: Query, records: readonly RR[]): Generator<Uint8Array> {
  const [soa] = records
  if (soa?.type !== TYPE.SOA) throw new RangeError('a zone begins with its SOA')
  const opt = optOf(query, RCODE.NOERROR)
  const fresh = (bytes = MESSAGE_BYTES): Packet => new Packet(bytes - OPT_BYTES - MAX_TSIG_BYTES)
  const finish = (packet: Packet): Uint8Array => {
    if (opt !== undefined) packet.addReserved('additional', opt)
    return packet.finish(query.id, replyFlags(query) + FLAG.AA)
  }
  let packet = fresh()
  packet.question(query.sent, query.type, query.class)
  for (const rr of [...records, soa]) {
    if (packet.add('answer', rr)) continue
    yield finish(packet)
    packet = fresh()
    if (packet.add('answer', rr)) continue
    packet = fresh(MAX_MESSAGE_BYTES)
    if (!packet.add('answer', rr)) throw new RangeError('a record that fits no message')
  }
  yield finish(packet)
}
