/** Options that every command takes, and where they may stand: behind the command or before it. */
import type { Command } from 'commander'

/** What they are worth. */
export interface GlobalOptions {
  readonly json?: boolean
  readonly quiet?: boolean
  readonly log?: string
  readonly policy?: string
  readonly anchors?: string
  readonly data?: string
}

/** Gives a command these options. */
export function withGlobalOptions(command: Command): Command {
  return command
    .option('--json', 'results as JSON, one object a line')
    .option('--quiet', 'no remarks and no progress')
    .option('--log <url>', 'URL of the log (or DSLOG_LOG)')
    .option('--policy <file>', 'tlog-policy that the log must satisfy')
    .option('--anchors <file>', "trust anchors of DNSSEC (default: the root's)")
    .option('--data <dir>', 'data folder (or DSLOG_DATA; default ./data)')
}

const FLAGS: ReadonlySet<string> = new Set(['--json', '--quiet'])
const VALUED: ReadonlySet<string> = new Set(['--log', '--policy', '--anchors', '--data'])

/** The arguments with these options behind the command: `dslog --json history fi.` */
export function commandFirst(args: readonly string[]): string[] {
  let at = 0
  while (at < args.length) {
    const [option = ''] = args[at]!.split('=', 1)
    if (FLAGS.has(option)) at++
    else if (VALUED.has(option)) at += args[at] === option ? 2 : 1
    else break
  }
  const command = args[at]
  if (command === undefined) return [...args]
  return [command, ...args.slice(0, at), ...args.slice(at + 1)]
}
