/**
 * A process that asks a name server, and says how fast: what the benchmarks of the DNS client start, so that
 * it shares nothing with the harness. Plain messages on standard output, one JSON object a run.
 */
import { generateKeyPairSync, sign } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { ALGORITHM } from '@dslog/dnssec/backend/backend'
import { nameFromText, ROOT } from '@dslog/dnssec/name'
import { TYPE } from '@dslog/dnssec/records'
import { DnsClient } from '@dslog/resolver/client'
import { EvidenceCollector } from '@dslog/resolver/collect'
import { ResolverError } from '@dslog/resolver/error'
import { encodeQuery } from '@dslog/resolver/query'
import { threadedBackend } from '@dslog/resolver/threaded'
import { transferMessages } from '@dslog/resolver/transfer'
import { ReferralWalker } from '@dslog/resolver/walk'
import { anchorOf } from '@dslog/testbed/key'
import { rootKeys } from './rootzone.ts'

/** Questions under way at once, as dnsperf is told. */
const AT_ONCE = 200
/** Datagrams that may be lost in a run. */
const MAX_LOST = 100

const [mode = '', port = '', names = '', runs = '', threads = ''] = process.argv.slice(2)
const server = { address: '127.0.0.1', port: Number(port) }
const permits = (): boolean => true
const client = new DnsClient({ port: server.port, permits, mixCase: false })
const owners = Array.from({ length: Number(names) }, (_, i) => nameFromText(`name${i}.`))

/** Calls `work` for each name, some at once; a few times where a datagram is lost, as on a busy machine. */
async function all(work: (index: number) => Promise<unknown>): Promise<number> {
  const lost: number[] = []
  let next = 0
  let left = MAX_LOST
  const worker = async (): Promise<void> => {
    while (next < owners.length || lost.length > 0) {
      const index = lost.pop() ?? next++
      try {
        await work(index)
      } catch (error) {
        const isLost = error instanceof ResolverError && error.code === 'timeout'
        if (!isLost || left-- === 0) throw error
        lost.push(index)
      }
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker))
  return owners.length
}

const raw = (): Promise<number> =>
  all((i) => client.ask(server, { name: owners[i]!, type: TYPE.DS }))

/** What is left if nothing but sending and receiving took time: the system's sockets, and one query again and again. */
const datagrams = async (): Promise<number> => {
  const socket = createSocket({ type: 'udp4', recvBufferSize: 4 * 1024 * 1024 })
  socket.connect(server.port, server.address)
  await once(socket, 'connect')
  const query = encodeQuery({ name: owners[0]!, type: TYPE.DS }, 1)
  let left = owners.length
  await new Promise<void>((resolve) => {
    let sent = 0
    const send = (): void => {
      if (sent++ < owners.length) socket.send(query)
    }
    socket.on('message', () => (--left > 0 ? send() : resolve()))
    for (let i = 0; i < AT_ONCE; i++) send()
  })
  socket.close()
  return owners.length
}

const backend = threadedBackend(threads === '' ? {} : { threads: Number(threads) })
const [ksk] = rootKeys()
const walker = new ReferralWalker({ exchange: client, hints: [server], permits })
let collector: EvidenceCollector | undefined

const validated = async (): Promise<number> => {
  const anchors = [anchorOf(ksk!)]
  collector ??= new EvidenceCollector({ exchange: client, walker, anchors, backend })
  const asking = collector
  const parent = await walker.zoneOf(ROOT)
  return all(async (i) => {
    const { verdict } = await asking.delegation(owners[i]!, parent, { server })
    if (verdict.verdict !== 'present') throw new Error('a DS is missing')
  })
}

/** What is left if nothing but the signatures took time: one of P-256 for each name. */
const signatures = async (): Promise<number> => {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const { x, y } = publicKey.export({ format: 'jwk' })
  const point = Buffer.concat([x!, y!].map((half) => Buffer.from(half, 'base64url')))
  const data = new Uint8Array(120)
  const key = { key: privateKey, dsaEncoding: 'ieee-p1363' as const }
  const signature = sign('sha256', data, key)
  return all(async () => {
    const isValid = await backend.verify(ALGORITHM.ECDSAP256SHA256, point, data, signature)
    if (!isValid) throw new Error('a signature does not verify')
  })
}

const transfer = async (): Promise<number> => {
  let count = 0
  for await (const records of transferMessages(server, ROOT, { permits })) count += records.length
  return count
}

for (let run = 0; run < Number(runs); run++) {
  // Another collector has verified nothing yet.
  if (mode === 'validate') collector = undefined
  const started = performance.now()
  const before = process.cpuUsage()
  const modes = { raw, datagrams, validate: validated, again: validated, signatures, transfer }
  const count = await modes[mode as keyof typeof modes]()
  const seconds = (performance.now() - started) / 1000
  const { user, system } = process.cpuUsage(before)
  console.log(JSON.stringify({ count, seconds, cpu: (user + system) / 1e6 }))
}
await client.close()
await backend.close()
