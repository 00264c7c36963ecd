/**
 * A small S3-compatible object store on the loopback interface, with what a publisher needs of one:
 * PUT with If-Match and If-None-Match, GET, DELETE, ListObjectsV2, ETags; and with what one does to its
 * clients on bad days. Objects are readable by everybody, as in a bucket that serves a website.
 *
 * That a request is signed is checked by its shape alone (AWS Signature Version 4); the sum of a body is
 * checked as the real ones do.
 */
import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { closeServer, listenOnLoopback } from './loopback.ts'

/** What goes wrong with a request, once. */
export type StoreFault =
  /** 503 SlowDown, and no effect. */
  | 'refused'
  /** The connection breaks before anything happens. */
  | 'lost'
  /** It happens, and the connection breaks before the answer. */
  | 'persisted'
  /** Half of the body is stored, and the connection breaks: no real store does that, but many are not real. */
  | 'torn'
  /** Nothing happens, and no answer comes. */
  | 'silent'

/** A stored object. */
export interface StoredObject {
  readonly data: Uint8Array
  readonly etag: string
  readonly headers: Readonly<Record<string, string>>
}

/** One request, as it was seen. */
export interface StoreRequest {
  readonly method: string
  readonly key: string
  readonly status: number
}

const SIGNED =
  /^AWS4-HMAC-SHA256 Credential=[^/]+\/\d{8}\/[^/]+\/s3\/aws4_request, SignedHeaders=[a-z0-9;-]*host[a-z0-9;-]*, Signature=[0-9a-f]{64}$/

/** Keys in one page of a list: few, so that tests meet the second page. */
const PAGE = 5

/** See the head of this file. */
export class ObjectStore {
  readonly objects: Map<string, StoredObject> = new Map()
  readonly requests: StoreRequest[] = []
  readonly bucket = 'bucket'
  readonly #server: Server
  #port = 0
  #faults: { readonly fault: StoreFault; after: number; readonly matches: RegExp }[] = []
  #before: ((method: string, key: string) => void) | undefined

  private constructor() {
    this.#server = createServer((request, response) => void this.#answer(request, response))
  }

  static async start(): Promise<ObjectStore> {
    const store = new ObjectStore()
    store.#port = await listenOnLoopback(store.#server)
    return store
  }

  /** URL of the bucket, path-style. */
  get url(): string {
    return `http://127.0.0.1:${this.#port}/${this.bucket}`
  }

  /** Lets a request fail: the first whose `METHOD key` matches, after so many that do not fail. */
  fail(fault: StoreFault, matches: RegExp = /./, after = 0): void {
    this.#faults.push({ fault, matches, after })
  }

  /** Called before each request takes effect: a moment for somebody else to be faster. */
  onRequest(hook: ((method: string, key: string) => void) | undefined): void {
    this.#before = hook
  }

  /** Faults that have not come to pass. */
  get pending(): number {
    return this.#faults.length
  }

  /** A new day: what was to fail does not. */
  mend(): void {
    this.#faults = []
  }

  /** Stores an object as another client would. */
  set(key: string, data: Uint8Array, headers: Readonly<Record<string, string>> = {}): void {
    const etag = `"${createHash('md5').update(data).digest('hex')}"`
    this.objects.set(key, { data, etag, headers })
  }

  close(): Promise<void> {
    return closeServer(this.#server)
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://store')
    const [, bucket, ...rest] = url.pathname.split('/')
    const key = decodeURIComponent(rest.join('/'))
    const { method = '' } = request
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    let body: Uint8Array = new Uint8Array(Buffer.concat(chunks))
    const fault = this.#faultOf(`${method} ${key}`)
    if (fault === 'silent') return
    if (fault === 'lost') return void request.socket.destroy()
    if (fault === 'torn') body = body.subarray(0, body.length / 2)
    this.#before?.(method, key)
    const answer =
      fault === 'refused'
        ? failure(503, 'SlowDown')
        : bucket !== this.bucket
          ? failure(404, 'NoSuchBucket')
          : this.#do(request, key, url.searchParams, body, fault === 'torn')
    this.requests.push({ method, key, status: answer.status })
    if (fault === 'persisted' || fault === 'torn') return void request.socket.destroy()
    response.writeHead(answer.status, answer.headers)
    response.end(method === 'HEAD' ? undefined : answer.body)
  }

  #faultOf(request: string): StoreFault | undefined {
    const at = this.#faults.findIndex(({ matches }) => matches.test(request))
    const found = this.#faults[at]
    if (found === undefined || found.after-- > 0) return undefined
    this.#faults.splice(at, 1)
    return found.fault
  }

  #do(
    { headers, method }: IncomingMessage,
    key: string,
    query: URLSearchParams,
    body: Uint8Array,
    torn: boolean,
  ): Answer {
    const isRead = method === 'GET' || method === 'HEAD'
    const held = this.objects.get(key)
    if (isRead && key !== '') {
      if (held === undefined) return failure(404, 'NoSuchKey')
      return { status: 200, headers: { ...held.headers, etag: held.etag }, body: held.data }
    }
    if (!SIGNED.test(headers.authorization ?? '') || headers['x-amz-date'] === undefined) {
      return failure(403, 'AccessDenied')
    }
    if (method === 'GET') return this.#list(query)
    if (method === 'DELETE') {
      this.objects.delete(key)
      return { status: 204, headers: {} }
    }
    if (method !== 'PUT') return failure(405, 'MethodNotAllowed')
    if (headers['if-none-match'] === '*' && held !== undefined) {
      return failure(412, 'PreconditionFailed')
    }
    const wanted = headers['if-match']
    if (wanted !== undefined && held === undefined) return failure(404, 'NoSuchKey')
    if (wanted !== undefined && !sameTag(wanted, held!.etag)) {
      return failure(412, 'PreconditionFailed')
    }
    const sum = headers['x-amz-checksum-sha256']
    const found = createHash('sha256').update(body).digest('base64')
    if (!torn && sum !== undefined && sum !== found) return failure(400, 'BadDigest')
    const kept = ['content-type', 'cache-control'].flatMap((name) => {
      const value = headers[name]
      return typeof value === 'string' ? [[name, value] as const] : []
    })
    this.set(key, body, Object.fromEntries(kept))
    return { status: 200, headers: { etag: this.objects.get(key)!.etag } }
  }

  #list(query: URLSearchParams): Answer {
    const prefix = query.get('prefix') ?? ''
    const after = query.get('continuation-token') ?? ''
    const keys = [...this.objects.keys()].filter((key) => key.startsWith(prefix) && key > after)
    const page = keys.sort().slice(0, PAGE)
    const last = page.at(-1)
    const more = last !== undefined && keys.length > PAGE
    const items = page.map((key) => {
      const { data, etag } = this.objects.get(key)!
      const size = `<Size>${data.length}</Size>`
      return `<Contents><Key>${key}</Key><ETag>${etag}</ETag>${size}</Contents>`
    })
    const next = more ? `<NextContinuationToken>${last}</NextContinuationToken>` : ''
    const text = `<?xml version="1.0"?><ListBucketResult><IsTruncated>${more}</IsTruncated><KeyCount>${page.length}</KeyCount>${next}${items.join('')}</ListBucketResult>`
    return xml(200, text)
  }
}

interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body?: Uint8Array | string
}

function xml(status: number, body: string): Answer {
  return { status, headers: { 'content-type': 'application/xml' }, body }
}

function failure(status: number, code: string): Answer {
  return xml(status, `<Error><Code>${code}</Code><Message>${code}</Message></Error>`)
}

function sameTag(a: string, b: string): boolean {
  return a.replaceAll('"', '') === b.replaceAll('"', '')
}
