/** Asks a name server for the serial of a zone, to know whether it serves it, and which. */
import { createSocket } from 'node:dgram'
import { parseMessage } from '@dslog/dnssec/message'
import { wellFormed } from '@dslog/dnssec/error'
import type { Name } from '@dslog/dnssec/name'
import { CLASS_IN, parseSoaNumbers, TYPE } from '@dslog/dnssec/records'
import { Packet } from './packet.ts'

/** How long an answer may take, in ms: the servers asked are on this machine. */
const TIMEOUT = 200

/** The serial that is served; undefined for no answer, or another than an SOA. */
export async function servedSerial(
  address: string,
  port: number,
  zone: Name,
): Promise<number | undefined> {
  const packet = new Packet()
  packet.question(zone, TYPE.SOA, CLASS_IN)
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4')
  try {
    return await new Promise((resolve) => {
      const timer = setTimeout(resolve, TIMEOUT)
      const done = (serial: number | undefined): void => {
        clearTimeout(timer)
        resolve(serial)
      }
      socket.on('message', (bytes) => done(serialOf(bytes)))
      socket.send(packet.finish(0, 0), port, address, () => undefined)
    })
  } finally {
    socket.close()
  }
}

function serialOf(bytes: Uint8Array): number | undefined {
  const answer = wellFormed(() => parseMessage(bytes))?.answer ?? []
  const soa = answer.find(({ type }) => type === TYPE.SOA)
  return soa && parseSoaNumbers(soa.rdata).serial
}
