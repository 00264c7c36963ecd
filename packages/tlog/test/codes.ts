/** How what is refused is told apart. */
import { TlogError, type TlogErrorCode } from '../src/error.ts'

/** The code of the TlogError that `run` throws; undefined if it throws nothing. Any other error is not caught. */
export function codeOf(run: () => unknown): TlogErrorCode | undefined {
  try {
    run()
    return undefined
  } catch (error) {
    if (error instanceof TlogError) return error.code
    throw error
  }
}

/** The same of a promise. */
export async function codeOfAsync(promise: Promise<unknown>): Promise<TlogErrorCode | undefined> {
  try {
    await promise
    return undefined
  } catch (error) {
    if (error instanceof TlogError) return error.code
    throw error
  }
}
