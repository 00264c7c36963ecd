/** What `dslog enforce` is told on the command line. */
import type { Command } from 'commander'
import { duration, socket } from '../argument.ts'

/** Calls of it, for its help. */
export const ENFORCE_EXAMPLES: readonly string[] = [
  'dslog enforce --upstream 127.0.0.1:53 --report    # first: what would be blocked',
  'dslog enforce --listen 127.0.0.1:5353 --upstream 127.0.0.1:53 --grace 24h --state enforce.d',
]

/** Gives a command these options. */
export function withEnforceOptions(command: Command): Command {
  return command
    .requiredOption('--upstream <address:port>', 'resolver that validates, such as Unbound', socket)
    .option('--listen <address:port>', 'of this machine alone (default 127.0.0.1:5353)', socket)
    .option('--grace <duration>', 'how long a state may be new (default 24h)', duration)
    .option('--report', 'blocks nothing; reports as JSON lines')
    .option('--strict', 'also blocks what cannot be found out, such as while the log is down')
    .option('--state <dir>', 'audits the log, and remembers it and what is waited for')
    .option('--zone <name...>', 'zones that the log admits besides the usual ones')
}
