/**
 * How a command ends: 0 ok, 1 verification failed, 2 usage, 3 network or service, 4 a service that refuses to go
 * on. Errors of the packages below are told apart here and nowhere else.
 */
import { MisbehaviourError } from '@dslog/tlog/misbehaviour'
import { TlogError, type TlogErrorCode } from '@dslog/tlog/error'
import { CrawlerError } from '@dslog/crawler/error'
import { LogError, type LogErrorCode } from '@dslog/log/error'
import { PublishError } from '@dslog/log/publish/target'
import { MonitorError, type MonitorErrorCode } from '@dslog/monitor/error'
import { ConfigError } from '@dslog/service/config'
import { DatabaseError, EmbeddedLocked } from '@dslog/service/database-error'
import { Problem } from '@dslog/service/problem'
import { ViolationError } from '@dslog/service/replay'
import { isVerificationFailure } from '@dslog/verify/verify'
import { printable } from './printable.ts'

export const EXIT = { ok: 0, unverified: 1, usage: 2, service: 3, refused: 4 } as const
export type ExitCode = (typeof EXIT)[keyof typeof EXIT]

/** The codes, for the help. */
export const EXIT_HELP = `
Exit codes: 0 ok, 1 verification failed, 2 usage, 3 network or service, 4 a service that refuses
to go on before somebody has looked.
\`dslog COMMAND --help\` shows options and examples.`

/** Ends a command with a message for people and a code for programs. */
export class Failure extends Error {
  override readonly name = 'Failure'
  readonly exitCode: ExitCode

  constructor(exitCode: ExitCode, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.exitCode = exitCode
  }
}

/** Files that the caller named and that cannot be what the command needs. */
const FILE_MISTAKES: ReadonlySet<string> = new Set([
  'ENOENT',
  'EACCES',
  'EPERM',
  'EROFS',
  'EISDIR',
  'EFBIG',
  'ENOTDIR',
  'EEXIST',
  'ENAMETOOLONG',
  'ELOOP',
])

/** A peer that does not answer, or not with what was asked for, has shown nothing. */
const SERVICE_CODES: ReadonlySet<TlogErrorCode> = new Set<TlogErrorCode>([
  'network',
  'http',
  'too-large',
  'late',
])

/** Whether a peer has shown nothing at all: neither that something holds, nor that it does not. */
export function hasShownNothing(error: unknown): error is TlogError {
  return error instanceof TlogError && SERVICE_CODES.has(error.code)
}

/** The exit code of whatever a command threw; `undefined` for a bug. */
export function exitCodeOf(error: unknown): ExitCode | undefined {
  if (error instanceof Failure) return error.exitCode
  if (error instanceof MisbehaviourError || error instanceof ViolationError) return EXIT.unverified
  if (hasShownNothing(error)) return EXIT.service
  if (error instanceof TlogError && error.code === 'bad-url') return EXIT.usage
  if (isVerificationFailure(error)) return EXIT.unverified
  if (error instanceof ConfigError) return EXIT.usage
  // What it was told to ask with, or to whom to bring it, cannot be meant.
  if (error instanceof CrawlerError) return EXIT.usage
  // Nothing to verify against: the caller has to say whom to trust.
  if (error instanceof MonitorError && error.code === 'policy') return EXIT.usage
  if (error instanceof LogError || error instanceof MonitorError) return EXIT.service
  if (error instanceof PublishError) {
    return error.code === 'foreign' ? EXIT.unverified : EXIT.service
  }
  if (error instanceof DatabaseError || error instanceof Problem) return EXIT.service
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') {
    return undefined
  }
  if (FILE_MISTAKES.has(error.code)) return EXIT.usage
  // A full disk, a port in use, a server that is not there; or what a PostgreSQL server says.
  return /^E[A-Z0-9]+$/.test(error.code) || 'severity' in error ? EXIT.service : undefined
}

/** Says in which file something did not hold; every other failure says by itself where it was. */
export async function naming<T>(file: string, work: () => T | Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    if (cause instanceof Failure || exitCodeOf(cause) !== EXIT.unverified) throw cause
    throw new Failure(EXIT.unverified, `${file}: ${messageOf(cause)}`, { cause })
  }
}

/** Passes by itself: whoever has taken over ends, and what waits for witnesses is published after the next start. */
const PASSING: ReadonlySet<LogErrorCode | MonitorErrorCode> = new Set(['fenced', 'unwitnessed'])

/**
 * The exit code of a service that failed. Its supervisor starts it again, but for {@link EXIT.usage} and
 * {@link EXIT.refused}: then the same would happen again until somebody has looked.
 */
export function serviceExitCodeOf(error: unknown): ExitCode {
  const code = exitCodeOf(error) ?? EXIT.service
  const isRefusal = error instanceof LogError || error instanceof MonitorError
  return isRefusal && code !== EXIT.usage && !PASSING.has(error.code) ? EXIT.refused : code
}

/** What to say of an error, in one line that is safe on a terminal: a server may have worded it. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  if (error instanceof EmbeddedLocked) return `${error.folder} is in use by process ${error.pid}`
  const { code, dest, path, syscall } = error as NodeJS.ErrnoException & { dest?: string }
  // "ENOENT: no such file or directory, open '/x'" says it backwards.
  const errno = /^E[A-Z0-9]+: (.*), \w+(?: '.*')?$/su.exec(error.message)?.[1]
  // Of a file that is moved to its place: where it was until then is nothing that anybody has named.
  const file = dest ?? path
  const where = errno === undefined || file === undefined ? '' : `${file}: `
  // Errors of several attempts at once come without words of their own.
  const own = errno ?? (error.message === '' ? String(code) : error.message)
  const isFolder =
    code === 'EISDIR' ? true : code === 'EEXIST' && syscall === 'mkdir' ? false : undefined
  const words = isFolder === undefined ? own : isFolder ? 'is a folder' : 'is no folder'
  return printable((where + words).trim().replaceAll(/\s*\n\s*/g, '; '))
}

/** Where a bug comes from. */
export function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}
