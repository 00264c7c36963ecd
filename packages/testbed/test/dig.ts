/** `dig`, a client that knows nothing of this code: whether it is there, and what it says. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { isInstalled } from '../src/program.ts'

/** Whether the tool is installed; tests that need it are skipped otherwise. */
export const hasDig: boolean = isInstalled('dig')

const run = promisify(execFile)

/** What dig prints, complaints at the end; without its own version, EDNS cookie, or a second try. */
export async function dig(address: string, port: number, ...words: string[]): Promise<string> {
  const fixed = ['+nocmd', '+nostats', '+nocookie', '+tries=1', '+timeout=5']
  const { stderr, stdout } = await run('dig', [`@${address}`, '-p', `${port}`, ...fixed, ...words])
  return stdout + stderr
}
