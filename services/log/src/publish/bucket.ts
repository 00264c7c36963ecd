/**
 * A bucket of an S3-compatible object store, through s3mini. Writes are conditional: a tile is created
 * and never silently replaced, and a checkpoint replaces the very version that was read (If-Match), so
 * that of two publishers, or of an old one that comes back, one is told to look again.
 *
 * The store is trusted in nothing: what is found at the path of a tile is compared, and what is not
 * the tile (a torn write, somebody's upload) is replaced, again only if it is still the same.
 */
import { createHash } from 'node:crypto'
import { type AWSHeaders, S3mini, S3ServiceError } from 's3mini'
import { equal, fromUtf8, utf8 } from '@dslog/tlog/bytes'
import { IMMUTABLE, VOLATILE } from '@dslog/service/params'
import { CHECKPOINT_PATH, type HeldCheckpoint, PublishError, type PublishTarget } from './target.ts'

/** Longest request, ms: a full bundle is 16 MiB at most, and 200 KiB as a rule. */
const REQUEST_MS = 30_000

/** Statuses of a condition that does not hold; 409 is AWS's for two conditional writes at once. */
const CONDITION_FAILED: ReadonlySet<number> = new Set([409, 412])

/** Where the bucket is. */
export interface BucketOptions {
  /** URL of the bucket, path-style or its own host: `https://s3.example/bucket`. */
  readonly endpoint: string
  readonly region: string
  readonly accessKey: string
  readonly secretKey: string
  /** Folder within the bucket, without slashes at its ends; empty for the bucket's root. */
  readonly prefix?: string | undefined
  /** Longest request, ms. */
  readonly timeout?: number
}

/** See the head of this file. */
export class BucketTarget implements PublishTarget {
  readonly name: string
  readonly #s3: S3mini
  readonly #prefix: string

  constructor({ accessKey, endpoint, prefix = '', region, secretKey, timeout }: BucketOptions) {
    this.#prefix = prefix === '' ? '' : `${prefix}/`
    this.name = `${endpoint}/${this.#prefix}`
    this.#s3 = new S3mini({
      accessKeyId: accessKey,
      secretAccessKey: secretKey,
      endpoint,
      region,
      requestAbortTimeout: timeout ?? REQUEST_MS,
    })
  }

  async checkpoint(): Promise<HeldCheckpoint | undefined> {
    const held = await this.#get(CHECKPOINT_PATH)
    if (held === undefined) return undefined
    try {
      return { note: fromUtf8(held.data), version: held.version }
    } catch (cause) {
      throw new PublishError('foreign', `the checkpoint at ${this.name} is not one`, { cause })
    }
  }

  async put(path: string, data: Uint8Array): Promise<void> {
    const headers = { 'cache-control': IMMUTABLE }
    if (await this.#putIf(path, data, { ...headers, 'if-none-match': '*' })) return
    const held = await this.#get(path)
    if (held === undefined) throw new PublishError('changed', `${path} came and went`)
    if (equal(held.data, data)) return
    const replaced = await this.#putIf(path, data, { ...headers, 'if-match': held.version })
    if (!replaced) throw new PublishError('changed', `${path} was changed meanwhile`)
  }

  async dropPartials(path: string): Promise<void> {
    const found = await this.#calling(() => this.#s3.listObjects('/', `${this.#prefix}${path}.p/`))
    for (const { Key } of found ?? []) await this.#calling(() => this.#s3.deleteObject(Key))
  }

  async show(note: string, over: HeldCheckpoint | undefined): Promise<void> {
    const condition =
      over?.version === undefined ? { 'if-none-match': '*' } : { 'if-match': over.version }
    const headers = { 'cache-control': VOLATILE, ...condition }
    const type = 'text/plain; charset=utf-8'
    if (await this.#putIf(CHECKPOINT_PATH, utf8(note), headers, type)) return
    throw new PublishError('changed', `another checkpoint appeared at ${this.name}`)
  }

  /** Writes a file on a condition. @returns whether the condition held */
  async #putIf(
    path: string,
    data: Uint8Array,
    headers: Readonly<Record<string, string>>,
    type = 'application/octet-stream',
  ): Promise<boolean> {
    // The store checks what arrived: a body that was cut off on the way is refused, not stored.
    const sum = { 'x-amz-checksum-sha256': createHash('sha256').update(data).digest('base64') }
    // s3mini signs and sends any header, though its type knows those of AWS alone.
    const all = { ...headers, ...sum } as AWSHeaders
    try {
      const body = Buffer.from(data)
      await this.#s3.putObject(this.#prefix + path, body, type, undefined, all, data.length)
      return true
    } catch (cause) {
      if (cause instanceof S3ServiceError && CONDITION_FAILED.has(cause.status)) return false
      throw this.#failed(cause)
    }
  }

  async #get(path: string): Promise<{ data: Uint8Array; version: string } | undefined> {
    const response = await this.#calling(() => this.#s3.getObjectResponse(this.#prefix + path))
    if (response === null) return undefined
    const version = response.headers.get('etag')
    if (version === null) throw new PublishError('storage', `${path} has no ETag`)
    const data = await this.#calling(() => response.arrayBuffer())
    return { data: new Uint8Array(data), version }
  }

  async #calling<T>(call: () => Promise<T>): Promise<T> {
    try {
      return await call()
    } catch (cause) {
      throw this.#failed(cause)
    }
  }

  #failed(cause: unknown): PublishError {
    const why = cause instanceof Error ? cause.message : String(cause)
    return new PublishError('storage', `${this.name}: ${why}`, { cause })
  }
}
