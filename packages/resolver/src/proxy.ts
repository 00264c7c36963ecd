/**
 * The client's part of SOCKS5 (RFC 1928), with a user name (RFC 1929): what to say to a proxy, and how much of its
 * answer to wait for, until it has opened a way to a server. Nothing here reads or writes; `socks.ts` does.
 *
 *     methods    05 | 02 | 00 nobody, 02 a user                     05 | method
 *     user       01 | u8 length | name | u8 length | password      01 | 00
 *     way        05 | 01 connect | 00 | address | u16 port         05 | reply | 00 | address | u16 port
 *     address    01 | 4 bytes, 04 | 16 bytes, or 03 | u8 length | name
 */
import { parseAddress } from '@dslog/service/specialaddress'
import { ByteWriter } from '@dslog/tlog/binary'
import { utf8 } from '@dslog/tlog/bytes'
import { ResolverError } from './error.ts'
import type { Server } from './exchange.ts'

const VERSION = 5
const METHOD = { NOBODY: 0, USER: 2 } as const
const USER_VERSION = 1
const CONNECT = 1
const DONE = 0
const ADDRESS = { IPV4: 1, NAME: 3, IPV6: 4 } as const
const IPV4_BYTES = 4
const IPV6_BYTES = 16
const PORT_BYTES = 2
/** Of the last answer: up to the first byte of an address, which of a name is its length. */
const ANSWER_HEAD_BYTES = 5

/** What to send, and how many bytes of answer the next turn begins with. */
export interface Turn {
  readonly send?: Uint8Array
  readonly take: number
}

/**
 * Asks for a way to a server, turn by turn; when it returns, the proxy has opened it.
 *
 * @param user its own password, too
 * @throws ResolverError `network`: the proxy speaks something else, or does not want to
 */
export function* askForWay(
  server: Required<Pick<Server, 'port'>> & Server,
  user: string,
): Generator<Turn, void, Uint8Array> {
  const bad = (why: string): ResolverError =>
    new ResolverError('network', `${server.address}: a proxy ${why}`, { server })
  const address = parseAddress(server.address)
  if (address === undefined) throw bad('is told addresses only')

  const methods = Uint8Array.of(VERSION, 2, METHOD.NOBODY, METHOD.USER)
  const [version, method] = yield { send: methods, take: 2 }
  if (version !== VERSION) throw bad('that does not speak SOCKS5')
  if (method !== METHOD.NOBODY && method !== METHOD.USER) throw bad('that lets nobody in')

  if (method === METHOD.USER) {
    const name = utf8(user)
    const writer = new ByteWriter().u8(USER_VERSION)
    for (const part of [name, name]) writer.u8(part.length).bytes(part)
    const [, status] = yield { send: writer.finish(), take: 2 }
    if (status !== DONE) throw bad('that does not let this user in')
  }

  const kind = address.length === IPV4_BYTES ? ADDRESS.IPV4 : ADDRESS.IPV6
  const writer = new ByteWriter().u8(VERSION).u8(CONNECT).u8(0).u8(kind)
  const way = writer.bytes(address).u16(server.port).finish()
  const [spoken, reply, , bound, first = 0] = yield { send: way, take: ANSWER_HEAD_BYTES }
  if (spoken !== VERSION) throw bad('that does not speak SOCKS5')
  if (reply !== DONE) throw bad(`that answers ${reply}`)
  // Where the proxy has its own end of the way is passed over.
  if (bound === ADDRESS.NAME) yield { take: first + PORT_BYTES }
  else if (bound === ADDRESS.IPV4) yield { take: IPV4_BYTES - 1 + PORT_BYTES }
  else if (bound === ADDRESS.IPV6) yield { take: IPV6_BYTES - 1 + PORT_BYTES }
  else throw bad('that answers with no address')
}
