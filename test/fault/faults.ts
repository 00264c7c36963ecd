/**
 * Storage that fails once, on demand: a statement, the commit of a transaction, or a write of the signer row throws,
 * either before its effect or after it, when what it did is there and only the answer is lost.
 */
import type {
  KyselyPlugin,
  PluginTransformQueryArgs,
  PluginTransformResultArgs,
  QueryResult,
  RootOperationNode,
  UnknownRow,
} from 'kysely'
import type { LogTables } from '@dslog/schema/db'
import type { Database } from '@dslog/service/db'
import type { LogOptions } from '@dslog/log/log'
import type { SignerRow } from '@dslog/log/signer'

/** Whether an effect that fails has happened. */
export type When = 'lost' | 'persisted'

/** What storage throws. */
export class StorageFault extends Error {
  override readonly name = 'StorageFault'
}

/** See the head of this file. */
export class Faults {
  /** Effects since the last {@link arm} or {@link disarm}. */
  #passed: string[] = []
  #armed: { readonly effect: number | string; readonly when: When } | undefined
  #thrown = false
  #counting = true

  /** Lets the effect of this number fail, counted from now. */
  arm(effect: number, when: When): void {
    this.disarm()
    this.#armed = { effect, when }
  }

  /** Lets the next effect of this name fail. */
  armNext(name: string, when: When): void {
    this.disarm()
    this.#armed = { effect: name, when }
  }

  /** What follows is not counted and does not fail. */
  hold(): void {
    this.#counting = false
  }

  /** @returns names of the effects that there were, and whether one failed */
  disarm(): { effects: readonly string[]; thrown: boolean } {
    this.#armed = undefined
    const [effects, thrown] = [this.#passed, this.#thrown]
    this.#passed = []
    this.#thrown = false
    this.#counting = true
    return { effects, thrown }
  }

  /** What a log stands on, made to fail. */
  wrap(options: LogOptions): LogOptions {
    return { ...options, db: this.#database(options.db), signerRow: this.#row(options.signerRow) }
  }

  #database(db: Database<LogTables>): Database<LogTables> {
    const plugin = new Statements(this)
    return {
      ...db,
      kysely: db.kysely.withPlugin(plugin),
      transaction: async (run) => {
        let effect = 0
        const result = await db.transaction(async (trx) => {
          const done = await run(trx.withPlugin(plugin))
          effect = this.before('commit')
          return done
        })
        this.after(effect)
        return result
      },
    }
  }

  #row(row: SignerRow): SignerRow {
    return {
      read: () => this.#around('read the signer row', () => row.read()),
      advance: (from, to) => this.#around('write the signer row', () => row.advance(from, to)),
    }
  }

  async #around<T>(name: string, run: () => Promise<T>): Promise<T> {
    const effect = this.before(name)
    const result = await run()
    this.after(effect)
    return result
  }

  /** To be called before an effect; returns its number. */
  before(name: string): number {
    if (!this.#counting) return 0
    this.#passed.push(name)
    const effect = this.#passed.length
    this.#throwAt(effect, 'lost')
    return effect
  }

  /** To be called after it. */
  after(effect: number): void {
    this.#throwAt(effect, 'persisted')
  }

  #throwAt(effect: number, when: When): void {
    const name = this.#passed[effect - 1]
    if (!this.#counting || this.#thrown || this.#armed?.when !== when) return
    if (this.#armed.effect !== effect && this.#armed.effect !== name) return
    this.#thrown = true
    throw new StorageFault(`effect ${effect}, ${when}: ${name}`)
  }
}

/** Statements of Kysely. A COPY is not compiled by it, so that one can only fail afterwards. */
class Statements implements KyselyPlugin {
  readonly #faults: Faults
  readonly #effects = new WeakMap<object, number>()

  constructor(faults: Faults) {
    this.#faults = faults
  }

  transformQuery({ node, queryId }: PluginTransformQueryArgs): RootOperationNode {
    this.#effects.set(queryId, this.#faults.before(node.kind))
    return node
  }

  async transformResult({
    queryId,
    result,
  }: PluginTransformResultArgs): Promise<QueryResult<UnknownRow>> {
    this.#faults.after(this.#effects.get(queryId) ?? this.#faults.before('Copy'))
    return result
  }
}
