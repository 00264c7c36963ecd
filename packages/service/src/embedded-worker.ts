/**
 * The thread of an embedded database: PGlite, which is one synchronous WASM program, fed with the bytes of PostgreSQL's
 * protocol. Messages are handled strictly one after the other, and each gets one reply.
 *
 * PGlite is PostgreSQL's single-user mode: no background process makes checkpoints or vacuums, so the WAL and the dead rows
 * would grow for ever. Both are done here, between transactions. Its fsync is off: what has been committed survives the end
 * of the process, kill -9 included (the kernel has it), but not that of the machine.
 */
import { PGlite } from '@electric-sql/pglite'
import crypto from 'node:crypto'
import { parentPort, workerData } from 'node:worker_threads'

/** What the thread is started with. */
export interface WorkerSetup {
  /** PGlite, compiled. */
  program: WebAssembly.Module
  folder: string
  /** Only create the database, then end. */
  create: boolean
  /** How often dead rows are counted, ms. */
  vacuumInterval: number
}

/** What the thread is asked for. `bytes` alone: protocol messages of the one session. */
export type WorkerRequest =
  { bytes: Uint8Array } | { copy: string; chunks: Uint8Array<ArrayBuffer>[] } | { close: true }

/** The reply: protocol messages of the database, or why not. */
export type WorkerReply = { bytes: Uint8Array } | { error: WorkerFault }

/** What the thread says by itself: it is ready, housekeeping failed, or it has to end. */
export type WorkerNotice = { ready: true } | { warning: string } | { fatal: string }

/** The fields of pg's DatabaseError; an Error loses them between threads. */
export type WorkerFault = { message: string } & Record<string, string | undefined>

/** A session that ends sends Terminate. */
const TERMINATE = 0x58

/** The last bytes of a reply that leaves no transaction open: ReadyForQuery, idle. */
const READY_IDLE = [0x5a, 0, 0, 0, 5, 0x49]

/** WAL since the last checkpoint that makes the next one due, bytes. It is what an opening after a crash replays. */
const CHECKPOINT_WAL = 64 << 20

/** How often the WAL is measured while there is work, ms. */
const WAL_CHECK_INTERVAL = 1_000

const START_PARAMETERS = {
  // One session on one thread does not need PostgreSQL's 128 MB; the kernel caches the files anyway.
  shared_buffers: '32MB',
  // Nothing archives or replicates; bulk loads into new tables need no WAL then.
  wal_level: 'minimal',
  max_wal_senders: '0',
  // Used-up WAL files are kept for reuse up to this.
  max_wal_size: '128MB',
  min_wal_size: '32MB',
  track_counts: 'on',
}

/** The exit status by which PGlite throws PostgreSQL's ordinary errors; it catches them itself. */
const ORDINARY_ERROR = 100

/** When every cluster was created, ms. */
const CREATION_TIME = Date.UTC(2026, 0, 1)

const FAULT_FIELDS = ['code', 'detail', 'hint', 'schema', 'table', 'column', 'constraint'] as const

const setup = workerData as WorkerSetup
const port = parentPort!
let queue: Promise<void> = Promise.resolve()
let idle = true
let walCheckedAt = 0
let panic = ''

if (setup.create) stopTheClock()
const db = await PGlite.create(setup.folder, {
  pgliteWasmModule: setup.program,
  onStderr: (line) => {
    if (line.includes('PANIC:')) panic = line
    return false
  },
  startParams: [
    ...PGlite.defaultStartParams,
    ...Object.entries(START_PARAMETERS).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
  ],
})
endOnPanic(db.Module)
if (setup.create) {
  await db.close()
} else {
  const vacuumTimer = setInterval(() => enqueue(() => housekeeping(vacuum)), setup.vacuumInterval)
  port.on('message', (request: WorkerRequest) => {
    enqueue(async () => {
      if ('close' in request) {
        clearInterval(vacuumTimer)
        await db.close()
        reply({ bytes: new Uint8Array(0) })
        port.close()
        return
      }
      reply(await handle(request).catch((error: unknown) => ({ error: toFault(error) })))
      await housekeeping(checkpoint)
    })
  })
}
port.postMessage({ ready: true } satisfies WorkerNotice)

/**
 * initdb writes the time and random bytes into two files. Without them an empty database is the same bytes each time, so a
 * build that makes one can be made again. What it loses is the identity of the cluster, by which replicas know their
 * primary, and the salt that hides from a stranger which roles have a password: here are neither.
 */
function stopTheClock(): void {
  Date.now = () => CREATION_TIME
  crypto.randomFillSync = (view) => view
}

/** The part of PGlite's program that reads and obeys protocol messages. */
interface MainLoop {
  _PostgresMainLoopOnce(): void
}

/**
 * A PANIC (the disk is full just when the WAL needs another file) or a trap of the program. PGlite swallows it and tries
 * again, for ever; a server would die and recover from its WAL at the next start, and so must this.
 */
function endOnPanic(program: MainLoop): void {
  const once = program._PostgresMainLoopOnce.bind(program)
  program._PostgresMainLoopOnce = () => {
    try {
      once()
    } catch (error) {
      if ((error as { status?: number }).status !== ORDINARY_ERROR) {
        port.postMessage({ fatal: panic || String(error) } satisfies WorkerNotice)
        process.exit(1)
      }
      throw error
    }
  }
}

function enqueue(task: () => Promise<void>): void {
  // A failure that gets here is a bug, and ends the thread.
  queue = queue.then(task)
}

function reply(message: WorkerReply): void {
  const transfer = 'bytes' in message ? [message.bytes.buffer as ArrayBuffer] : []
  port.postMessage(message, transfer)
}

async function handle(request: Exclude<WorkerRequest, { close: true }>): Promise<WorkerReply> {
  if ('copy' in request) {
    // COPY from STDIN crashes PGlite; from its /dev/blob it is the fastest way in.
    await db.exec(request.copy, { blob: new Blob(request.chunks) })
    return { bytes: new Uint8Array(0) }
  }
  if (request.bytes[0] === TERMINATE) {
    // What a server does when a session ends. PGlite itself would ignore it, and the transaction stay open.
    await db.exec('rollback')
    await db.exec('discard all')
    idle = true
    return { bytes: new Uint8Array(0) }
  }
  const parts: Uint8Array[] = []
  await db.execProtocolRawStream(request.bytes, {
    // A view of WASM memory: gone after the call.
    onRawData: (data) => parts.push(data.slice()),
  })
  const bytes = new Uint8Array(Buffer.concat(parts))
  idle = READY_IDLE.every((byte, i) => bytes[bytes.length - READY_IDLE.length + i] === byte)
  return { bytes }
}

/** A full disk, say, must not end what can still answer. */
async function housekeeping(task: () => Promise<void>): Promise<void> {
  if (!idle) return
  await task().catch((error: unknown) => {
    port.postMessage({ warning: toFault(error).message } satisfies WorkerNotice)
  })
}

async function checkpoint(): Promise<void> {
  const now = performance.now()
  if (now - walCheckedAt < WAL_CHECK_INTERVAL) return
  walCheckedAt = now
  const { rows } = await db.query<{ due: boolean }>(
    `select pg_current_wal_lsn() - redo_lsn > ${CHECKPOINT_WAL} as due from pg_control_checkpoint()`,
  )
  if (rows[0]?.due === true) await db.exec('checkpoint')
}

/** Autovacuum's own rule, with its default thresholds; and a full round long before transaction ids run out. */
async function vacuum(): Promise<void> {
  const { rows } = await db.query<{ name: string }>(`
    select format('%I.%I', s.schemaname, s.relname) as name
    from pg_stat_user_tables s join pg_class c on c.oid = s.relid
    where n_dead_tup > 50 + 0.2 * greatest(reltuples, 0)
       or n_mod_since_analyze > 50 + 0.1 * greatest(reltuples, 0)
    union all
    select '' from pg_database where datname = current_database() and age(datfrozenxid) > 2e8`)
  for (const { name } of rows) await db.exec(`vacuum (analyze) ${name}`)
}

function toFault(error: unknown): WorkerFault {
  const source = error as Record<string, unknown>
  const fault: WorkerFault = { message: error instanceof Error ? error.message : String(error) }
  for (const field of FAULT_FIELDS) {
    const value = source[field]
    if (typeof value === 'string') fault[field] = value
  }
  return fault
}
