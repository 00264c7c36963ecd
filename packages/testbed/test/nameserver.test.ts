/** Name servers, asked by `dig`. */
import { nameFromText } from '@dslog/dnssec/name'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Internet, record } from '../src/internet.ts'
import { NameServers } from '../src/nameserver.ts'
import { dig, hasDig } from './dig.ts'
import { ownerDs } from '../src/stories.ts'

const OWNER = nameFromText('example.fi.')

describe.skipIf(!hasDig)('dig', () => {
  const net = new Internet({ servers: 2 })
  const fi = net.addZone('fi.', { denial: { nsec3: {} } })
  net.addZone('a.fi.', { servers: [['127.0.0.1'], ['127.0.0.2', '::1']] })
  let servers: NameServers

  beforeAll(async () => {
    fi.delegate(OWNER, [ownerDs(OWNER)])
    servers = await NameServers.start(net)
  })
  afterAll(() => servers.stop())

  const ask = (address: string, ...words: string[]): Promise<string> =>
    dig(address, servers.port, '+norec', ...words)

  test('is referred from the root, with glue', async () => {
    expect(servers.hints()).toHaveLength(2)
    for (const { addresses } of servers.hints()) {
      const said = await ask(addresses[0]!, 'x.example.fi.', 'A', '+dnssec')
      expect(said).toMatch(
        /status: NOERROR.*\n;; flags: qr; QUERY: 1, ANSWER: 0, AUTHORITY: 4, ADD.*: 3\n/,
      )
      expect(said).toMatch(/EDNS: version: 0, flags: do; udp: 1232/)
      expect(said).toMatch(/\nfi\.\t+3600\tIN\tNS\tns\.fi\./)
      expect(said).toMatch(/\nfi\.\t+3600\tIN\tNS\tns2\.fi\./)
      expect(said).toMatch(/\nfi\.\t+3600\tIN\tDS\t/)
      expect(said).toMatch(/\nfi\.\t+3600\tIN\tRRSIG\tDS 13 1 /)
      expect(said).toMatch(/\nns\.fi\.\t+3600\tIN\tA\t127\.16\.1\.1/)
      expect(said).toMatch(/\nns2\.fi\.\t+3600\tIN\tA\t127\.16\.1\.2/)
    }
  })

  test('asks v4 and v6, UDP and TCP', async () => {
    for (const address of ['127.0.0.1', '127.0.0.2', '::1']) {
      for (const transport of ['+notcp', '+tcp']) {
        const said = await ask(address, 'a.fi.', 'SOA', transport)
        expect(said).toMatch(/flags: qr aa;/)
        expect(said).not.toMatch(/RRSIG/)
      }
    }
  })

  test('sees each change in the next answer', async () => {
    const at = '127.16.1.2'
    expect(await ask(at, 'new.fi.', 'DS')).toMatch(/status: NXDOMAIN/)
    fi.delegate(nameFromText('new.fi.'))
    expect(await ask(at, 'new.fi.', 'DS')).toMatch(/status: NOERROR/)
    fi.undelegate(nameFromText('new.fi.'))
    fi.add(record('new.fi.', 'TXT', '"in the parent"'))
    expect(await ask(at, 'new.fi.', 'TXT', '+short')).toBe('"in the parent"\n')
  })
})
