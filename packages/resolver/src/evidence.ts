/**
 * What of a reply is handed on as evidence: the message as it came or, of a large one, a message that holds
 * nothing but the question and the records that prove what was concluded.
 *
 * A server may add records without end, and signatures that nobody can use; resolvers look past them, but
 * a log takes a bounded number of records for one observation. Were the whole message handed on, whoever
 * runs a zone could show a changed DS to resolvers and keep it out of the log.
 */
import type { RR } from '@dslog/dnssec/records'
import { encodeRecord } from '@dslog/dnssec/wire'
import { concat } from '@dslog/tlog/bytes'
import type { Reply } from './exchange.ts'
import { questionEnd } from './query.ts'

/** Largest reply that is handed on as it came, in bytes: a DNSKEY answer in the middle of a roll has 2 kB. */
const MAX_WHOLE_BYTES = 4_096
/** Most records of one, in its answer and authority: an eighth of what a log takes for a whole chain. */
const MAX_WHOLE_RECORDS = 64

/**
 * The message to hand on.
 *
 * @param prove gives the records that a verdict rests on, with their signatures
 */
export function evidenceIn(reply: Reply, prove: () => readonly RR[]): Uint8Array {
  const { bytes, message, question } = reply
  const records = message.answer.length + message.authority.length
  if (bytes.length <= MAX_WHOLE_BYTES && records <= MAX_WHOLE_RECORDS) return bytes
  const proof = prove()
  const head = bytes.slice(0, questionEnd(question))
  const counts = new DataView(head.buffer)
  counts.setUint16(6, proof.length)
  counts.setUint16(8, 0)
  counts.setUint16(10, 0)
  return concat(head, ...proof.map(encodeRecord))
}
