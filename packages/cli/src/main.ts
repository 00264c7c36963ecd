/** `dslog`: one file a command, loaded when it is called. Options and exit codes are those of api.md. */
import { Command, InvalidArgumentError } from 'commander'
import { installNodeCrypto } from '@dslog/service/crypto'
import { EXIT, exitCodeOf } from './failure.ts'

installNodeCrypto()

const program = new Command('dslog')
  .description('A transparency log for DNSSEC delegations')
  .version('0.1.0')
  .showHelpAfterError()
  .exitOverride((error) => process.exit(error.exitCode === 0 ? EXIT.ok : EXIT.usage))

/** A command with the options that all have. */
function command(name: string, description: string): Command {
  return program
    .command(name)
    .description(description)
    .option('--json', 'results as JSON, one object a line')
    .option('--quiet', 'no remarks and no progress')
    .option('--log <url>', 'URL of the log (or DSLOG_LOG)')
    .option('--policy <file>', 'tlog-policy that the log must satisfy')
    .option('--anchors <file>', "trust anchors of DNSSEC (default: the root's)")
    .option('--data <dir>', 'data folder (or DSLOG_DATA; default ./data)')
}

command('import', 'Import signed zone files, in order, each at its own time')
  .argument('<file...>', 'zone files, plain or gzip')
  .option('--at <time>', 'when the files are checked: ISO 8601, or YYYYMMDDHHmmSS in UTC', time)
  .option('--zone <name>', 'apex of the zone, where the file does not say')
  .action(async (files: string[], options) => {
    const { importFiles } = await import('./command/import.ts')
    await importFiles(files, options)
  })

/** A time on the command line, as ms since the Unix epoch. */
function time(text: string): number {
  const compact = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)$/.exec(text)
  const iso = compact === null ? text : isoOf(compact)
  const ms = Date.parse(iso)
  if (Number.isNaN(ms)) throw new InvalidArgumentError('not a time')
  return ms
}

function isoOf([, year, month, day, hour, minute, second]: readonly string[]): string {
  return `${year}-${month}-${day}T${hour}:${minute}:${second}Z`
}

try {
  await program.parseAsync()
} catch (error) {
  const code = exitCodeOf(error)
  if (code === undefined) throw error
  process.stderr.write(`dslog: ${(error as Error).message}\n`)
  process.exitCode = code
}
