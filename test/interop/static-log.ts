/**
 * A log without a service: the tree, checkpoint, tiles, bundles and proofs that `@dslog/tlog` makes of some entries,
 * behind a bare HTTP server. For interoperation tests that are about those formats alone, and to serve them spoilt.
 */
import { createServer } from 'node:http'
import { toBase64, utf8 } from '@dslog/tlog/bytes'
import { formatCheckpoint } from '@dslog/tlog/checkpoint'
import { signerOf } from '@dslog/tlog/cosignature'
import { HASH_SIZE, leafHash } from '@dslog/tlog/hash'
import { formatVkey, KEY_TYPE } from '@dslog/tlog/key'
import { ed25519Signer, signNote } from '@dslog/tlog/note'
import { TreeReader } from '@dslog/tlog/reader'
import { bundlePath, encodeBundle, TILE_WIDTH, tilePath } from '@dslog/tlog/tile'
import { TileWriter } from '@dslog/tlog/tilewriter'
import { closeServer, listenOnLoopback } from '@dslog/testbed/loopback'
import { testKey } from '@dslog/testbed/notekey'

/** A log that answers. */
export interface RunningLog {
  /** Without a slash at its end. */
  readonly url: string
  /** Its Ed25519 key. */
  readonly vkey: string
  close(): Promise<void>
}

/** Changes an answer before it is sent; `path` has its query. */
export type Spoil = (path: string, body: Uint8Array) => Uint8Array

const ORIGIN = 'log.example/static'
const KEY = testKey(ORIGIN, KEY_TYPE.ed25519, 1)
const PQ_KEY = testKey(ORIGIN, KEY_TYPE.mldsa44, 2)

/** 2024-11-16T00:00:00Z, in milliseconds. */
const SIGNED_AT = 1_731_715_200_000

/** Serves a log of these entries on a free port of the loopback. */
export async function serveStaticLog(
  entries: readonly Uint8Array[],
  spoil: Spoil = (_, body) => body,
): Promise<RunningLog> {
  const answers = await answersOf(entries)
  const server = createServer((request, response) => {
    const path = request.url ?? '/'
    void (async () => {
      const body = await answers(new URL(path, 'http://localhost'))
      response.statusCode = body === undefined ? 404 : 200
      response.end(body && spoil(path, body))
    })()
  })
  const port = await listenOnLoopback(server)
  return {
    url: `http://127.0.0.1:${port}`,
    vkey: formatVkey(KEY),
    close: () => closeServer(server),
  }
}

type Answers = (url: URL) => Promise<Uint8Array | undefined>

async function answersOf(entries: readonly Uint8Array[]): Promise<Answers> {
  const writer = new TileWriter()
  for (const entry of entries) writer.appendEntry(entry)
  const size = writer.size
  const files = new Map<string, Uint8Array>()
  for (const { level, index, data } of writer.take()) {
    files.set(tilePath({ level, index, width: data.length / HASH_SIZE }), data)
  }
  for (let start = 0; start < size; start += TILE_WIDTH) {
    const chunk = entries.slice(start, start + TILE_WIDTH)
    files.set(bundlePath({ index: start / TILE_WIDTH, width: chunk.length }), encodeBundle(chunk))
  }
  const text = formatCheckpoint({ origin: ORIGIN, size, root: writer.root(), extensions: [] })
  const note = signNote(text, [ed25519Signer(KEY), signerOf(PQ_KEY, () => SIGNED_AT)])
  files.set('checkpoint', utf8(note))
  const tree = new TreeReader(
    { tile: async (level, index, width) => files.get(tilePath({ level, index, width }))! },
    size,
    { root: writer.root() },
  )
  return async (url) => {
    const number = (name: string): number => Number(url.searchParams.get(name))
    const within = (...sizes: number[]): boolean => sizes.every((n) => n <= size)
    switch (url.pathname) {
      case '/v1/proofs/inclusion':
        return within(number('index') + 1, number('size'))
          ? inclusion(tree, entries, number('index'), number('size'))
          : undefined
      case '/v1/proofs/consistency':
        return within(number('from'), number('to'))
          ? consistency(tree, number('from'), number('to'))
          : undefined
      default:
        return files.get(url.pathname.slice(1))
    }
  }
}

async function inclusion(
  tree: TreeReader,
  entries: readonly Uint8Array[],
  index: number,
  size: number,
): Promise<Uint8Array> {
  return json({
    index,
    size,
    leaf_hash: toBase64(leafHash(entries[index]!)),
    root: toBase64(await tree.subtreeHash(0, size)),
    proof: (await tree.inclusionProof(index, size)).map(toBase64),
  })
}

async function consistency(tree: TreeReader, from: number, to: number): Promise<Uint8Array> {
  return json({
    from,
    to,
    from_root: toBase64(await tree.subtreeHash(0, from)),
    to_root: toBase64(await tree.subtreeHash(0, to)),
    proof: (await tree.consistencyProof(from, to)).map(toBase64),
  })
}

function json(value: unknown): Uint8Array {
  return utf8(JSON.stringify(value))
}
