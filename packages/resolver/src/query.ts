/**
 * Questions as messages (RFC 1035 §4.1), with EDNS (RFC 6891) and DO set (RFC 3225), written by hand: it is
 * one of the two things done for each question.
 *
 *     u16 id | u16 flags | 0 1 0 0 0 0 0 1 | name | u16 type | u16 class |
 *     00 | 41 | u16 payload size | u8 rcode | u8 version | DO, 0 | 0
 *
 * What makes an answer hard to forge is random: the id, the port (udp.ts), and where a server keeps it the
 * case of each letter of the name (draft-vixie-dnsext-dns0x20).
 */
import { randomFillSync } from 'node:crypto'
import { HEADER_BYTES } from '@dslog/dnssec/message'
import type { Name } from '@dslog/dnssec/name'
import { CLASS_IN, TYPE } from '@dslog/dnssec/records'
import type { Question } from './exchange.ts'

/** What we take over UDP: it fits one packet nearly everywhere (DNS Flag Day 2020). */
export const EDNS_PAYLOAD_BYTES = 1232

const QUESTION_FIXED_BYTES = 4
const OPT_BYTES = 11
const OPT_DO = 0x80
const FLAG_RD = 0x01
const FLAG_CD = 0x10

/** How to ask. */
export interface QueryOptions {
  readonly recursive?: boolean | undefined
  readonly checkingDisabled?: boolean | undefined
  /** Random case for the letters of the name. */
  readonly mixCase?: boolean | undefined
}

/** The message of a question. */
export function encodeQuery(
  { name, type }: Question,
  id: number,
  { recursive = false, checkingDisabled = recursive, mixCase = false }: QueryOptions = {},
): Uint8Array {
  const end = HEADER_BYTES + name.length + QUESTION_FIXED_BYTES
  // Sending a small array of V8's own heap makes it move to another: a Buffer is there from the start.
  const out = Buffer.allocUnsafe(end + OPT_BYTES)
  out[0] = id >> 8
  out[1] = id
  out[2] = recursive ? FLAG_RD : 0
  out[3] = checkingDisabled ? FLAG_CD : 0
  out[4] = 0
  out[5] = 1
  for (let i = 6; i < 11; i++) out[i] = 0
  out[11] = 1
  if (mixCase) copyMixed(out, name)
  else for (let i = 0; i < name.length; i++) out[HEADER_BYTES + i] = name[i]!
  out[end - 4] = type >> 8
  out[end - 3] = type
  out[end - 2] = 0
  out[end - 1] = CLASS_IN
  out[end] = 0
  out[end + 1] = 0
  out[end + 2] = TYPE.OPT
  out[end + 3] = EDNS_PAYLOAD_BYTES >> 8
  out[end + 4] = EDNS_PAYLOAD_BYTES & 0xff
  out[end + 5] = 0
  out[end + 6] = 0
  out[end + 7] = OPT_DO
  out[end + 8] = 0
  out[end + 9] = 0
  out[end + 10] = 0
  return out
}

/** Where the question of a message made here ends. */
export function questionEnd(question: Question): number {
  return HEADER_BYTES + question.name.length + QUESTION_FIXED_BYTES
}

/** Names are lower-case, and length bytes below 0x41, so bit 0x20 of what is a letter is its case. */
function copyMixed(out: Uint8Array, name: Name): void {
  let bits = 0
  for (let i = 0; i < name.length; i++) {
    if (i % 16 === 0) bits = random16()
    const byte = name[i]!
    const isLetter = byte >= 0x61 && byte <= 0x7a
    out[HEADER_BYTES + i] = isLetter && (bits & (1 << (i % 16))) !== 0 ? byte - 0x20 : byte
  }
}

// Asking the system for two bytes at a time would take longer than everything else here.
const pool = new Uint16Array(4096)
let taken = pool.length

/** Sixteen bits that nobody can guess. */
export function random16(): number {
  if (taken === pool.length) {
    randomFillSync(pool)
    taken = 0
  }
  return pool[taken++]!
}
