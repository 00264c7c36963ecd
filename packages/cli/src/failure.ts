/**
 * How a command ends: 0 ok, 1 verification failed, 2 usage, 3 network or service (api.md). Errors of
 * the packages below are told apart here and nowhere else.
 */
import { MisbehaviourError } from '@dslog/tlog/misbehaviour'
import { TlogError } from '@dslog/tlog/error'
import { LogError } from '@dslog/log/error'
import { ConfigError } from '@dslog/service/config'
import { DatabaseError } from '@dslog/service/database-error'
import { isVerificationFailure } from '@dslog/verify/verify'

export const EXIT = { ok: 0, unverified: 1, usage: 2, service: 3 } as const
export type ExitCode = (typeof EXIT)[keyof typeof EXIT]

/** Ends a command with a message for people and a code for programs. */
export class Failure extends Error {
  override readonly name = 'Failure'
  readonly exitCode: ExitCode

  constructor(exitCode: ExitCode, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.exitCode = exitCode
  }
}

/** The exit code of whatever a command threw; `undefined` for a bug. */
export function exitCodeOf(error: unknown): ExitCode | undefined {
  if (error instanceof Failure) return error.exitCode
  if (error instanceof MisbehaviourError) return EXIT.unverified
  if (error instanceof TlogError && (error.code === 'network' || error.code === 'http')) {
    return EXIT.service
  }
  if (isVerificationFailure(error)) return EXIT.unverified
  if (error instanceof ConfigError) return EXIT.usage
  if (error instanceof LogError || error instanceof DatabaseError) return EXIT.service
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') {
    // Files that are missing or may not be read: the caller named them.
    if (/^E[A-Z]+$/.test(error.code)) return EXIT.usage
  }
  return undefined
}
