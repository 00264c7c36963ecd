/**
 * Everything that reads what strangers wrote: each parser with its typed error, with inputs to begin
 * from, and with what has to hold of whatever it accepts, above all that writing it gives it back.
 */
import { equal, fromUtf8, utf8 } from '@dslog/tlog/bytes'
import { formatTlogProof, parseTlogProof } from '@dslog/tlog/bundle'
import { formatCheckpoint, parseCheckpoint } from '@dslog/tlog/checkpoint'
import { TlogError } from '@dslog/tlog/error'
import { asHash, EMPTY_ROOT, HASH_SIZE } from '@dslog/tlog/hash'
import { formatVkey, KEY_TYPE, parseVkey } from '@dslog/tlog/key'
import { verifyMap } from '@dslog/tlog/map'
import { formatNote, parseNote, signNote } from '@dslog/tlog/note'
import { formatPolicy, parsePolicy } from '@dslog/tlog/policy'
import { verifyConsistency, verifyInclusion } from '@dslog/tlog/proof'
import { bundlePath, decodeBundle, encodeBundle, parseTilePath, tilePath } from '@dslog/tlog/tile'
import { signerOf } from '@dslog/tlog/cosignature'
import { formatAnchors, parseAnchors } from '@dslog/dnssec/anchors'
import { ALGORITHM } from '@dslog/dnssec/backend/backend'
import { nodeBackend } from '@dslog/dnssec/backend/node'
import { DnssecError } from '@dslog/dnssec/error'
import { parseMessage } from '@dslog/dnssec/message'
import { type Name, nameFromText, nameFromWire, nameToText } from '@dslog/dnssec/name'
import { rdataFromText, rdataToText } from '@dslog/dnssec/rdata'
import { type RR, TYPE } from '@dslog/dnssec/records'
import { encodeRecord, parseRecord } from '@dslog/dnssec/wire'
import { parseZoneFile } from '@dslog/dnssec/zonefile'
import { decodeEntry, encodeEntry } from '@dslog/schema/entry'
import { EntryError } from '@dslog/schema/error'
import { Internet } from '@dslog/testbed/internet'
import { Scribe } from '@dslog/testbed/lyinglog'
import { testKey } from '@dslog/testbed/notekey'
import { ownerDs } from '@dslog/testbed/stories'
import { VerifyError } from '@dslog/verify/error'
import { Observer } from '@dslog/verify/observe'
import { decodePinList, encodePinList } from '@dslog/verify/pins'
import { decodeExtra, encodeExtra } from '@dslog/verify/prooffile'
import { encodeReply } from '../message.ts'
import type { Target } from './fuzz.ts'

const algorithm = ALGORITHM.ED25519

const refusesTlog = (error: unknown): boolean => error instanceof TlogError
const refusesDnssec = (error: unknown): boolean => error instanceof DnssecError
const refusesEvidence = (error: unknown): boolean =>
  [VerifyError, DnssecError, TlogError, EntryError].some((type) => error instanceof type)

/** What a parser accepted has to come back from its writer. */
function expectBack(input: Uint8Array, written: Uint8Array | string): void {
  const bytes = typeof written === 'string' ? utf8(written) : written
  if (!equal(bytes, input)) throw new Error('what was read is written in another way')
}

/** A parser whose writer is its exact inverse. */
function inverse<T>(
  name: string,
  seeds: readonly (Uint8Array | string)[],
  read: (input: Uint8Array) => T,
  write: (value: T) => Uint8Array | string,
  refuses: Target['refuses'] = refusesTlog,
): Target {
  const bytes = seeds.map((seed) => (typeof seed === 'string' ? utf8(seed) : seed))
  return { name, seeds: bytes, refuses, run: (input) => expectBack(input, write(read(input))) }
}

/** A small internet, what it says about some names, and the log of it. */
async function world(): Promise<{
  net: Internet
  owners: readonly Name[]
  bags: readonly (readonly RR[])[]
  messages: readonly Uint8Array[]
  entries: readonly Uint8Array[]
}> {
  const net = new Internet({ root: { algorithm } })
  net.addZone('fi.', { algorithm })
  net.addZone('se.', { algorithm, denial: { nsec3: { salt: Uint8Array.of(1) } } })
  const owners = ['signed.fi.', 'signed.se.', 'absent.fi.', 'absent.se.'].map((t) =>
    nameFromText(t),
  )
  for (const owner of owners.slice(0, 2)) {
    net.parentOf(owner).delegate(owner, [ownerDs(owner)])
  }
  const scribe = new Scribe({ anchors: net.anchors, now: net.clock.now })
  await scribe.mapHead()
  for (const owner of owners) await scribe.observe(owner, net.evidence(owner))
  await scribe.mapHead()
  const bags = owners.map((owner) => net.evidence(owner))
  const messages = owners.map((owner) => {
    const { answer, authority, rcode } = net.parentOf(owner).zone.answer(owner, TYPE.DS)
    return encodeReply({ name: owner, type: TYPE.DS, answer, authority, rcode })
  })
  return { net, owners, bags, messages, entries: scribe.entries }
}

/**
 * All targets, those of the formats first: what the others load makes each look at the coverage dearer.
 */
export async function* targets(): AsyncGenerator<Target> {
  const { bags, entries, messages, net, owners } = await world()
  const key = testKey('log.example/ds', KEY_TYPE.ed25519, 1)
  const witness = testKey('w.example', KEY_TYPE.cosignature, 2)
  const text = formatCheckpoint({
    origin: 'log.example/ds',
    size: 70_000,
    root: EMPTY_ROOT,
    extensions: [],
  })
  const note = signNote(text, [signerOf(key, () => 0)])
  const policy = [
    `log ${formatVkey(key)} https://log.example/`,
    `witness w0 ${formatVkey(witness)} https://w.example/`,
    'group g 1 w0',
    'quorum g',
    '',
  ].join('\n')
  const hashes = [1, 2, 3].map((n) => asHash(new Uint8Array(HASH_SIZE).fill(n)))
  const proof = formatTlogProof({ extra: utf8('extra'), index: 7, path: hashes, checkpoint: note })
  const item = { index: 1, path: hashes, entry: entries[1]! }
  const records = bags.flat().map((record) => encodeRecord(record))
  const zone = net.zoneOf(nameFromText('fi.')).zone.toText()
  const anchors = formatAnchors(net.anchors)
  const observerOf = (): Observer =>
    new Observer(
      { lookup: async () => [], keysOfZone: async () => [] },
      { anchors: net.anchors, backend: nodeBackend() },
      { time: net.clock.now(), historical: false },
    )

  yield* [
    inverse('note', [note], parseNote, formatNote),
    inverse('checkpoint', [text], (input) => parseCheckpoint(fromUtf8(input)), formatCheckpoint),
    inverse('proof file', [proof], parseTlogProof, formatTlogProof),
    inverse(
      'vkey',
      [formatVkey(key), formatVkey(witness)],
      (i) => parseVkey(fromUtf8(i)),
      formatVkey,
    ),
    inverse('bundle', [encodeBundle(entries.slice(0, 5))], (i) => decodeBundle(i), encodeBundle),
    inverse(
      'tile path',
      ['tile/0/x001/234', 'tile/2/007.p/99', 'tile/entries/x001/x234/067', 'tile/entries/000.p/1'],
      (input) => parseTilePath(fromUtf8(input)),
      (path) => (path.kind === 'tile' ? tilePath(path) : bundlePath(path)),
    ),
    {
      name: 'policy',
      seeds: [utf8(policy)],
      refuses: refusesTlog,
      // Comments and spaces are lost; what is written reads the same.
      run(input) {
        const written = formatPolicy(parsePolicy(input))
        expectBack(written, formatPolicy(parsePolicy(written)))
      },
    },
    {
      name: 'tree proof',
      seeds: [Uint8Array.of(0, 5, 0, 9, ...hashes.flatMap((hash) => [...hash]))],
      refuses: refusesTlog,
      run(input) {
        const [a = 0, b = 0, c = 0, d = 0] = input
        const path: (typeof hashes)[number][] = []
        for (let at = 4; at + HASH_SIZE <= input.length; at += HASH_SIZE) {
          path.push(asHash(input.slice(at, at + HASH_SIZE)))
        }
        const root = hashes[0]!
        if (a % 2 === 0) verifyInclusion(hashes[1]!, b, c * 256 + d, path, root)
        else verifyConsistency(b, c * 256 + d, path, hashes[1]!, root)
        throw new Error('a proof of nothing was accepted')
      },
    },
    {
      name: 'map proof',
      seeds: [new Uint8Array(0), new Uint8Array(33 * 3).fill(9), new Uint8Array(64 + 33).fill(3)],
      refuses: refusesTlog,
      run(input) {
        verifyMap(hashes[0]!, hashes[1]!, input.length % 2 === 0 ? hashes[2]! : null, input)
        throw new Error('a proof of nothing was accepted')
      },
    },
    inverse('entry', entries, decodeEntry, encodeEntry, (error) => error instanceof EntryError),
    inverse(
      'proof items',
      [
        encodeExtra({ kind: 'entry', leaf: entries[3]!, chain: [item] }),
        encodeExtra({
          kind: 'name',
          leaf: entries.at(-1)!,
          mapKind: 1,
          name: owners[0]!,
          mapProof: new Uint8Array(66),
          history: [item],
          chain: [item, item],
        }),
      ],
      decodeExtra,
      encodeExtra,
      refusesEvidence,
    ),
    {
      name: 'pins',
      seeds: [encodePinList([{ kind: 'ds', rdata: ownerDs(owners[0]!) }])],
      refuses: refusesEvidence,
      run: (input) => expectBack(input, encodePinList(decodePinList(input))),
    },
    {
      name: 'DNS message',
      seeds: messages,
      refuses: refusesDnssec,
      run(input) {
        const { additional, answer, authority } = parseMessage(input)
        for (const record of [...answer, ...authority, ...additional]) {
          const written = encodeRecord(record)
          expectBack(written, encodeRecord(parseRecord(written)))
        }
      },
    },
    {
      name: 'record',
      seeds: records,
      refuses: refusesDnssec,
      run(input) {
        const { rdata, type } = parseRecord(input)
        const shown = rdataToText(type, rdata)
        const again = rdataFromText(type, shown)
        if (!equal(again, rdata)) throw new Error(`read as ${shown}, which is other data`)
      },
    },
    {
      name: 'zone file',
      seeds: [
        utf8(zone.slice(0, 4_000)),
        utf8('$ORIGIN fi.\n$TTL 1h\n@ SOA ns h ( 1 2 3 4\n 5 ) ; x\n'),
      ],
      refuses: refusesDnssec,
      run(input) {
        for (const record of parseZoneFile(input)) {
          const written = encodeRecord(record)
          expectBack(written, encodeRecord(parseRecord(written)))
        }
      },
    },
    {
      name: 'name',
      seeds: [
        'example.fi.',
        'xn--bcher-kva.example.',
        'a\\.b\\000.fi.',
        'bücher.example',
        '*.se.',
      ].map(utf8),
      refuses: (error) => refusesDnssec(error) || refusesTlog(error),
      run(input) {
        const name = nameFromText(fromUtf8(input))
        expectBack(name, nameFromText(nameToText(name)))
        expectBack(name, nameFromWire(name))
      },
    },
    {
      name: 'trust anchors',
      seeds: [utf8(anchors)],
      refuses: (error) => refusesDnssec(error) || refusesTlog(error),
      run(input) {
        const written = formatAnchors(parseAnchors(fromUtf8(input)))
        expectBack(utf8(written), formatAnchors(parseAnchors(written)))
      },
    },
    {
      name: 'evidence',
      seeds: messages,
      refuses: refusesEvidence,
      // Whatever is done to a reply, no other state than the true one is proven by it.
      async run(input) {
        const { answer, authority } = parseMessage(input)
        for (const [i, owner] of owners.entries()) {
          const bag = [...answer, ...authority, ...net.chain(net.parentOf(owner).name)]
          let proven
          try {
            proven = (await observerOf().delegation(owner, bag)).at(-1)
          } catch (error) {
            if (refusesEvidence(error)) continue
            throw error
          }
          const present = proven?.kind === 'state' && 'ds' in proven.evidence
          if (present !== i < 2) throw new Error(`${nameToText(owner)} is not as it is`)
        }
      },
    },
  ] satisfies Target[]
  const { protocols } = await import('./protocols.ts')
  yield* await protocols({ net, owners, bags, messages, key, note })
}
