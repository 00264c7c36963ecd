/**
 * Places where a log can live: a data folder with its key and trust anchors, and a database, embedded in that folder or on
 * a PostgreSQL server where there is one. A place is data alone, so a child process can be told of it; it can be opened
 * again and again, and copied while it is closed.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { cp, mkdir, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { formatSkey, formatVkey, KEY_TYPE, signerKey, type SignerKey } from '@dslog/tlog/key'
import { utf8 } from '@dslog/tlog/bytes'
import { sha256 } from '@dslog/tlog/hash'
import { type Anchor, formatAnchors } from '@dslog/dnssec/anchors'
import { openDatabase } from '@dslog/service/db'
import { startPostgres, type TestPostgres } from '@dslog/testbed/postgres'
import { LOG_FILES } from '@dslog/log/files'
import { sql } from 'kysely'

export type Kind = 'embedded' | 'postgres'

/** Where one log lives. */
export interface Place {
  readonly kind: Kind
  /** Data folder. */
  readonly data: string
  /** Configuration of a service that runs there. */
  readonly env: Readonly<Record<string, string>>
}

/** Origin of a log of the tests. */
export const ORIGIN = 'log.example/test'

/** The key of an origin: the same each time. */
export function keyOf(origin: string = ORIGIN): SignerKey {
  return signerKey(origin, KEY_TYPE.ed25519, new Uint8Array(sha256(utf8(origin))))
}

/** The policy of those who believe a log of this origin, without any witness. */
export function policyOf(origin: string = ORIGIN): string {
  return `log ${formatVkey(keyOf(origin))}\nquorum none\n`
}

/** Makes places, and takes them away again. */
export class Places {
  readonly kinds: readonly Kind[]
  readonly postgres: TestPostgres | undefined
  readonly #folder: string
  #made = 0

  private constructor(postgres: TestPostgres | undefined) {
    this.#folder = mkdtempSync(join(tmpdir(), 'dslog-test-'))
    this.postgres = postgres
    this.kinds = postgres === undefined ? ['embedded'] : ['embedded', 'postgres']
  }

  /** @param kinds of places wanted; PostgreSQL is left out, with a printed line, where there is none */
  static async open(kinds: readonly Kind[] = ['embedded', 'postgres']): Promise<Places> {
    const postgres = kinds.includes('postgres') ? await startPostgres() : undefined
    return new Places(postgres)
  }

  /** A place without a log: its key and anchors are there, its database is empty. */
  async make(kind: Kind, anchors: readonly Anchor[], origin: string = ORIGIN): Promise<Place> {
    const data = join(this.#folder, `place${this.#made++}`)
    await mkdir(data)
    await writeFile(join(data, LOG_FILES.key), `${formatSkey(keyOf(origin))}\n`)
    await writeFile(join(data, 'anchors'), formatAnchors(anchors))
    return placeOf(kind, data, kind === 'postgres' ? await this.#database() : undefined)
  }

  /** Another place with everything that is in a closed one, as a backup has it. */
  async copy(place: Place): Promise<Place> {
    const data = join(this.#folder, `place${this.#made++}`)
    await cp(place.data, data, { recursive: true })
    if (place.kind === 'embedded') return placeOf(place.kind, data)
    const { pathname } = new URL(place.env['DATABASE_URL']!)
    return placeOf(place.kind, data, await this.#database(pathname.slice(1)))
  }

  async close(): Promise<void> {
    await this.postgres?.stop()
    rmSync(this.#folder, { recursive: true, force: true })
  }

  /** Creates a database of its own, empty or as another one is. */
  async #database(template = 'template0'): Promise<string> {
    const { url } = this.postgres!
    const name = `dslog_${process.pid}_${this.#made++}`
    const server = await openDatabase({ url, folder: this.#folder })
    try {
      const statement = sql`create database ${sql.id(name)} template ${sql.id(template)}`
      await statement.execute(server.kysely)
    } finally {
      await server.close()
    }
    return Object.assign(new URL(url), { pathname: `/${name}` }).href
  }
}

function placeOf(kind: Kind, data: string, url?: string): Place {
  const env = { DSLOG_DATA: data, DSLOG_ANCHORS: join(data, 'anchors') }
  return { kind, data, env: url === undefined ? env : { ...env, DATABASE_URL: url } }
}
