/**
 * Keeps a folder or a bucket at the newest published tree. It follows the log and never holds it up: a
 * place that fails is tried again, ever more slowly, and meanwhile shows an older tree; metrics tell
 * how old.
 *
 * One thing it finds stops the log: a place that shows a tree which this log's key signed and this log
 * does not have. Then the database is older than what the world has seen, and so may the signer row be;
 * the next signature would fork the log. That is looked at before the sequencer starts, and each time.
 */
import { equal } from '@dslog/tlog/bytes'
import { type Checkpoint, openCheckpoint } from '@dslog/tlog/checkpoint'
import { TlogError } from '@dslog/tlog/error'
import type { NoteVerifier } from '@dslog/tlog/note'
import { TreeReader } from '@dslog/tlog/reader'
import { TILE_WIDTH } from '@dslog/tlog/tile'
import type { Logger } from '@dslog/service/log'
import { Periodic } from '@dslog/service/periodic'
import { checkedBundle } from '../bundle.ts'
import { LogError } from '../error.ts'
import type { PublishedTree } from '../shown.ts'
import type { TreeStore } from '../store.ts'
import { type HeldCheckpoint, PublishError, type PublishTarget } from './target.ts'
import { type OldTree, type TreeFiles, writeTree } from './write.ts'

/** How often the newest tree is compared with the one shown, ms; a new tree is looked at without waiting. */
const LOOK_MS = 1_000
/** Longest pause after failures, ms. */
const LONGEST_PAUSE_MS = 60_000

/** What a publisher needs of a log. */
export interface PublishedLog {
  readonly published: PublishedTree
  /** False before the first tree is. */
  readonly isPublished: boolean
  /** Entries that the database holds, published or not. */
  readonly size: number
  readonly store: Pick<TreeStore, 'bundle' | 'tile'>
}

export interface PublisherOptions {
  readonly log: PublishedLog
  readonly target: PublishTarget
  /** The log's keys: what is shown there must be signed by one. */
  readonly verifiers: readonly NoteVerifier[]
  readonly logger: Logger
  /** Of the pauses; default: the machine's. */
  readonly clock?: () => number
  /** Calls back after each publication of a tree; returns how to stop that. */
  readonly onPublished?: (listener: () => void) => () => void
}

/** How a place stands. */
export interface PublishState {
  /** Entries of the tree that it shows, as far as is known. */
  readonly size: number
  readonly failures: number
  /** When the newest tree of the log was first not to be seen there, ms; `undefined` while it is. */
  readonly behindSince: number | undefined
}

/** See the head of this file. */
export class Publisher extends Periodic {
  readonly name: string
  readonly #options: PublisherOptions
  readonly #clock: () => number
  #unlisten: (() => void) | undefined
  #shown: string | undefined
  /** The note that was last to be shown there. */
  #tried: string | undefined
  #size = 0
  #failures = 0
  #inARow = 0
  #pausedUntil = 0
  #behindSince: number | undefined

  constructor(options: PublisherOptions) {
    super({ interval: LOOK_MS, immediately: true })
    this.name = options.target.name
    this.#options = options
    this.#clock = options.clock ?? Date.now
  }

  get state(): PublishState {
    return { size: this.#size, failures: this.#failures, behindSince: this.#behindSince }
  }

  /** @throws LogError `behind` or `forked`; PublishError `foreign` */
  override async start(fail: (error: unknown) => void): Promise<void> {
    const { log, onPublished } = this.#options
    try {
      if (log.isPublished) await this.#held(log.published)
    } catch (error) {
      if (isFatal(error) || isForeign(error)) throw error
      this.#failed(error)
    }
    await super.start(fail)
    this.#unlisten = onPublished?.(() => this.poke())
  }

  override async stop(): Promise<void> {
    this.#unlisten?.()
    await super.stop()
    // What the sequencer did last is shown, too, if the place lets us.
    if (this.isStarted) await this.round().catch(() => {})
  }

  /** Shows the newest tree, unless it is shown or the place is given a rest. */
  async round(): Promise<void> {
    if (!this.#options.log.isPublished) return
    const tree = this.#options.log.published
    if (tree.note === this.#shown) return
    this.#behindSince ??= this.#clock()
    if (this.#clock() < this.#pausedUntil) return
    try {
      if (!(await this.#publish(tree))) return
    } catch (error) {
      if (isFatal(error)) throw error
      this.#failed(error)
      return
    }
    this.#inARow = 0
    this.#shown = tree.note
    this.#size = tree.size
    this.#behindSince = undefined
  }

  /** @returns whether that is what the place shows now */
  async #publish(tree: PublishedTree): Promise<boolean> {
    const { log, logger, target } = this.#options
    const older = await this.#held(tree)
    if (older?.held.note === tree.note) return true
    // A restored database: what is shown is in it, and waits for its witnesses once more.
    if (older !== undefined && older.size > tree.size) return false
    const files = filesOf(tree, log.store)
    this.#tried = tree.note
    const written = await writeTree(target, older, { ...tree, files }, { follows: true })
    logger.debug({ target: target.name, size: tree.size, ...written }, 'published')
    return true
  }

  /** What is shown, once it is known to be the beginning of this tree, or of what else the database holds. */
  async #held(tree: PublishedTree): Promise<OldTree | undefined> {
    const { log, target, verifiers } = this.#options
    const held = await target.checkpoint()
    if (held === undefined) return undefined
    // Half of our own checkpoint: a store that tears what it writes. Nobody can use it; it is replaced.
    if (held.note !== tree.note && this.#isTorn(held.note, tree)) return { size: this.#size, held }
    const { origin, root, size } = opened(held, verifiers, target.name)
    if (origin !== tree.origin) {
      throw new PublishError('foreign', `${target.name} shows the log ${origin}`)
    }
    if (size > log.size) {
      throw new LogError(
        'behind',
        `the database holds ${log.size} entries, but ${target.name} shows ${size}: restore the rest first`,
      )
    }
    const reader = size > tree.size ? new TreeReader(log.store, log.size) : tree.reader
    if (!equal(await reader.subtreeHash(0, size), root)) {
      throw new LogError('forked', `${target.name} shows another tree of ${size} entries`)
    }
    this.#size = size
    return { size, held }
  }

  #isTorn(note: string, tree: PublishedTree): boolean {
    return tree.note.startsWith(note) || this.#tried?.startsWith(note) === true
  }

  #failed(error: unknown): void {
    const { logger, target } = this.#options
    this.#failures++
    this.#inARow++
    const pause = Math.min(LONGEST_PAUSE_MS, LOOK_MS * 2 ** (this.#inARow - 1))
    // Somebody else was faster: that is looked at again at once.
    if (!(error instanceof PublishError && error.code === 'changed')) {
      this.#pausedUntil = this.#clock() + pause
    }
    logger.warn({ err: error, target: target.name, again_in_ms: pause }, 'publication failed')
  }
}

/** Another tree of this log was shown to the world: nothing may be signed any more. */
function isFatal(error: unknown): boolean {
  return error instanceof LogError && (error.code === 'behind' || error.code === 'forked')
}

function isForeign(error: unknown): boolean {
  return error instanceof PublishError && error.code === 'foreign'
}

function opened(
  { note }: HeldCheckpoint,
  verifiers: readonly NoteVerifier[],
  name: string,
): Checkpoint {
  try {
    return openCheckpoint(note, verifiers).checkpoint
  } catch (cause) {
    if (!(cause instanceof TlogError)) throw cause
    const why = `${name} shows a checkpoint that is not this log's: ${cause.message}`
    throw new PublishError('foreign', why, { cause })
  }
}

/** The files of a tree out of the log's tables, each checked against the root: what is published stays. */
function filesOf({ reader, size }: PublishedTree, store: Pick<TreeStore, 'bundle'>): TreeFiles {
  return {
    tile: ({ index, level, width }) => reader.tile(level, index, width),
    async *bundles(first) {
      for (let index = first; index * TILE_WIDTH < size; index++) {
        yield (await checkedBundle(store, reader, index)).data
      }
    },
  }
}
