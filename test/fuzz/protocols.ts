/**
 * What is wrapped around the formats on its way here: requests to a witness, bodies of submissions, streams of changes,
 * messages on a stream, questions to a forwarder, signed transfers, a resolver's cache.
 */
import { concat, equal, toBase64, utf8 } from '@dslog/tlog/bytes'
import { TlogError } from '@dslog/tlog/error'
import { asHash, HASH_SIZE } from '@dslog/tlog/hash'
import type { SignerKey } from '@dslog/tlog/key'
import {
  formatAddCheckpoint,
  openAddCheckpoint,
  parseAddCheckpoint,
  WitnessRefusal,
} from '@dslog/tlog/witness'
import { nodeBackend } from '@dslog/dnssec/backend/node'
import { parseMessage } from '@dslog/dnssec/message'
import { type Name, nameFromText, nameToText } from '@dslog/dnssec/name'
import { type RR, TYPE } from '@dslog/dnssec/records'
import { encodeRecord } from '@dslog/dnssec/wire'
import type { Http } from '@dslog/service/http'
import { eventsIn } from '@dslog/cli/eventstream'
import { Failure } from '@dslog/cli/failure'
import { readQuery, refuse, servfail } from '@dslog/cli/enforce/query'
import { readSeen } from '@dslog/cli/seen'
import { Admitter } from '@dslog/log/admit'
import { VerifyBudget } from '@dslog/log/budget'
import type { Log } from '@dslog/log/log'
import type { LogContext } from '@dslog/log/route/context'
import { observationRoutes } from '@dslog/log/route/observations'
import { ZoneList } from '@dslog/log/zones'
import { ResolverError } from '@dslog/resolver/error'
import { Deframer, frame } from '@dslog/resolver/framing'
import { TsigSession } from '@dslog/resolver/tsig'
import type { Internet } from '@dslog/testbed/internet'
import { quietHttp } from '../http.ts'
import { encodeReply } from '../message.ts'
import type { Target } from './fuzz.ts'

/** What targets begin from. */
export interface World {
  readonly net: Internet
  readonly owners: readonly Name[]
  readonly bags: readonly (readonly RR[])[]
  readonly messages: readonly Uint8Array[]
  readonly key: SignerKey
  /** A checkpoint that the key has signed. */
  readonly note: string
}

const isFailure = (error: unknown): boolean => error instanceof Failure

async function* chunksOf(...chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* chunks
}

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = []
  for await (const item of items) found.push(item)
  return found
}

/** All targets. */
export async function protocols(world: World): Promise<Target[]> {
  const { messages, owners } = world
  const http = await submissions(world)
  const text = world.net.zoneOf(nameFromText('fi.')).zone.toText()
  return [
    addCheckpoint(world),
    {
      name: 'submission',
      seeds: bodies(world),
      // A refusal by HTTP is no finding, and no success.
      refuses: (error) => error === REFUSED,
      async run(input) {
        const headers = { 'content-type': 'application/json' }
        const request = { method: 'POST', url: '/v1/observations', headers } as const
        const { statusCode } = await http.inject({ ...request, payload: Buffer.from(input) })
        if (statusCode >= 500) throw new Error(`answered ${statusCode}`)
        if (statusCode !== 200) throw REFUSED
      },
    },
    {
      name: 'event stream',
      seeds: [
        utf8('id: 7\nevent: change\ndata: {"name":"a.fi."}\n\n: alive\n\n'),
        utf8('event:change\r\nid:70\r\ndata:{"name":\r\ndata:"bücher.example"}\r\n\r\n'),
      ],
      refuses: isFailure,
      // Wherever the network cuts it, it says the same.
      async run(input) {
        const whole = await all(eventsIn(chunksOf(input)))
        for (const at of [1, Math.floor(input.length / 2), input.length - 1]) {
          const cut = await all(eventsIn(chunksOf(input.subarray(0, at), input.subarray(at))))
          if (JSON.stringify(cut) !== JSON.stringify(whole)) throw new Error('cut, it says more')
        }
      },
    },
    {
      name: 'DNS stream',
      seeds: [frame(messages[0]!)],
      refuses: () => false,
      run(input) {
        const whole = new Deframer().push(input)
        const deframer = new Deframer()
        const bytes = [...input].flatMap((byte) => deframer.push(Uint8Array.of(byte)))
        const written = concat(...whole.map(frame))
        if (!equal(written, input.subarray(0, written.length))) throw new Error('read otherwise')
        if (!equal(concat(...bytes.map(frame)), written)) throw new Error('cut, it says more')
      },
    },
    {
      name: 'DNS question',
      seeds: owners.map((name) => encodeReply({ name, type: TYPE.DS, query: true })),
      refuses: () => false,
      // Whatever is asked, the answer is a message, to the same question.
      run(input) {
        const query = readQuery(input)
        if (query === undefined) return
        const answer = 'rcode' in query ? refuse(input, query) : servfail(query, 0, 'why not')
        const { question } = parseMessage(answer)
        if ('rcode' in query) return
        if (!equal(question[0]!.name, query.name)) throw new Error('another question is answered')
      },
    },
    tsig(world),
    {
      name: 'seen records',
      seeds: [
        ...messages,
        concat(...messages.map(frame)),
        utf8(text.slice(0, 2_000)),
        utf8(`; <<>> dig\n;; ANSWER SECTION:\nfi.\t5\tIN\tDS 1 13 2 AB\n`),
      ],
      refuses: isFailure,
      run: (input) => readSeen(chunksOf(input)),
    },
  ]
}

/** Requests to a witness. Whatever is accepted is the one text that the log has signed. */
function addCheckpoint({ key, note }: World): Target {
  const proof = [1, 2].map((n) => asHash(new Uint8Array(HASH_SIZE).fill(n)))
  const signed = note.slice(0, note.indexOf('\n\n'))
  return {
    name: 'add-checkpoint',
    seeds: [
      utf8(formatAddCheckpoint({ old: 0, proof: [], note })),
      utf8(formatAddCheckpoint({ old: 69_000, proof, note })),
    ],
    refuses: (error) => error instanceof WitnessRefusal || error instanceof TlogError,
    run(input) {
      const opened = openAddCheckpoint(input, (origin) => (origin === key.name ? [key] : []))
      if (!opened.note.startsWith(`${signed}\n\n`)) throw new Error('nobody has signed that')
      if (!equal(utf8(formatAddCheckpoint(parseAddCheckpoint(input))), input)) {
        throw new Error('what was read is written in another way')
      }
    },
  }
}

/** Replies of a transfer. What is accepted is what was signed, or nothing is made of it yet. */
function tsig({ messages, net }: World): Target {
  const key = {
    name: nameFromText('key.'),
    algorithm: 'hmac-sha256',
    secret: new Uint8Array(32).fill(5),
  }
  const session = (): TsigSession => new TsigSession(key, net.clock.now)
  const query = encodeReply({ name: nameFromText('fi.'), type: 252, query: true })
  return {
    name: 'TSIG',
    seeds: [...messages, ...messages.map((message) => session().sign(message))],
    refuses: (error) => error instanceof ResolverError,
    run(input) {
      const asked = session()
      asked.sign(query)
      asked.open(input)
      asked.done()
      throw new Error('nobody has signed that')
    },
  }
}

const REFUSED = new Error('refused')

/** Bodies as submitters send them. */
function bodies({ bags, messages, owners }: World): Uint8Array[] {
  const owner = nameToText(owners[0]!)
  const records = bags[0]!.map((record) => toBase64(encodeRecord(record)))
  return [
    { owner, records },
    { owner, messages: messages.slice(0, 1).map(toBase64), observed_at: 1 },
    { owner: 'fi.', kind: 'keys', records },
    { owner, messages: ['AAA'], records: [''] },
  ].map((observation) => utf8(JSON.stringify({ observations: [observation] })))
}

/** The route of submissions before a log that holds nothing and takes everything. */
async function submissions({ net }: World): Promise<Http> {
  const { now } = net.clock
  const log = {
    anchors: net.anchors,
    fold: { zoneKeys: async () => [], keysOfZone: async () => [] },
  } as unknown as Log
  const admitter = new Admitter({
    log,
    sink: { submit: async (batches) => batches.map(() => ({ status: 'known' })) },
    zones: new ZoneList(),
    backend: nodeBackend(),
    clock: now,
    budget: new VerifyBudget(now, Number.MAX_SAFE_INTEGER),
  })
  const app = await quietHttp({ rateLimit: false })
  observationRoutes(app, { admitter } as unknown as LogContext)
  return app
}
