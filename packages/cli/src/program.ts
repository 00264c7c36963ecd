/**
 * The command line: names, arguments and options are those of api.md. Each command is one file in
 * command/, loaded when it is called. What goes wrong is one line on stderr and an exit code.
 */
import { Command, CommanderError } from 'commander'
import { VERSION } from '@dslog/service/version'
import type { AuditOptions } from './command/audit.ts'
import type { CheckOptions } from './command/check.ts'
import type { DemoOptions } from './command/demo.ts'
import type { EnforceOptions } from './command/enforce.ts'
import type { ImportOptions } from './command/import.ts'
import type { KeygenOptions } from './command/keygen.ts'
import type { LogOptions } from './command/log.ts'
import type { MigrateOptions } from './command/migrate.ts'
import type { MirrorOptions } from './command/mirror.ts'
import type { PinsOptions } from './command/pins.ts'
import type { ProveOptions } from './command/prove.ts'
import type { RestoreOptions } from './command/restore.ts'
import type { UpOptions } from './command/up.ts'
import type { WatchOptions } from './command/watch.ts'
import { duration, index, oneOf, port, ROLES, time, TYPES } from './argument.ts'
import { ENFORCE_EXAMPLES, withEnforceOptions } from './enforce/options.ts'
import { EXIT, EXIT_HELP, exitCodeOf, type ExitCode, messageOf, stackOf } from './failure.ts'
import type { Io } from './io.ts'
import { CLEAR_LINE } from './progress.ts'
import { commandFirst, type GlobalOptions, withGlobalOptions } from './options.ts'
import { Session } from './session.ts'

/** Runs one call of `dslog`. @param args without the program's own name */
export async function run(args: readonly string[], io: Io): Promise<ExitCode> {
  try {
    await program(io).parseAsync(commandFirst(args), { from: 'user' })
    return EXIT.ok
  } catch (error) {
    // Help and version come as errors too; what they had to say has been said.
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage
    // Progress may be in the middle of its line.
    if (io.stderr.isTTY === true) io.stderr.write(CLEAR_LINE)
    const code = exitCodeOf(error)
    if (code === undefined) {
      io.stderr.write(`dslog: a fault of dslog itself: ${stackOf(error)}\n`)
      return EXIT.service
    }
    io.stderr.write(`dslog: ${messageOf(error)}\n`)
    return code
  }
}

function program(io: Io): Command {
  const program = new Command('dslog')
    .description('A transparency log for DNSSEC delegations')
    .version(VERSION)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => io.stdout.write(text),
      writeErr: (text) => io.stderr.write(text),
      outputError: (text, write) =>
        write(
          `dslog: ${text
            .trim()
            .replace(/^error: /, '')
            .replaceAll(/\s*\n\s*/g, ' ')}\n`,
        ),
    })
    .addHelpText('after', EXIT_HELP)

  /** A command with the options that all have. */
  const command = (name: string, description: string, examples: readonly string[]): Command =>
    withGlobalOptions(program.command(name).description(description)).addHelpText(
      'after',
      `\nExamples:\n${examples.map((line) => `  ${line}\n`).join('')}`,
    )
  const session = (options: GlobalOptions): Session => new Session(options, io)

  command('up', 'Log, crawler and monitor in one process, on the embedded database', [
    'dslog up',
    'dslog up --data /var/lib/dslog --port 9000',
    'dslog up --names domains.txt    # one a line',
    'dslog up --zone-file root-2019.zone.gz root-2024.zone.gz',
  ])
    .option('--zone-file <file...>', 'signed zone files, imported first, in this order')
    .option('--names <file>', 'domains to crawl besides the root, one a line')
    .option('--no-crawler', 'fetches nothing from the DNS')
    .option('--port <n>', 'port of the log; the others take the next two (default 8080)', port)
    .option('--origin <name>', 'name of a new log: a URL without scheme')
    .action(async (options: GlobalOptions & UpOptions) => {
      const { up } = await import('./command/up.ts')
      await up(session(options), options)
    })

  command(
    'demo',
    'A small internet with a log, without a network: what is seen, and what is caught',
    ['dslog demo', 'dslog demo --once --json    # exits with 0 if every step came out as told'],
  )
    .option('--once', 'ends after the story')
    .action(async (options: GlobalOptions & DemoOptions) => {
      const { demo } = await import('./command/demo.ts')
      await demo(session(options), options)
    })

  command('log', 'The log service alone, configured by the environment', [
    'dslog log --create    # once; makes the log',
    'dslog log',
  ])
    .option('--create', 'creates the log if there is none')
    .option('--origin <name>', 'with --create: name of the new log, a URL without scheme')
    .option('--read-only', 'serves the log of another process: signs nothing, takes no evidence')
    .action(async (options: GlobalOptions & LogOptions) => {
      const { runLog } = await import('./command/log.ts')
      await runLog(session(options), options)
    })

  command('monitor', 'The monitor service alone, configured by the environment', [
    'DSLOG_MONITOR_POLICY=policy DSLOG_MONITOR_LOG_URL=https://log.example dslog monitor',
  ]).action(async (options: GlobalOptions) => {
    const { runMonitor } = await import('./command/monitor.ts')
    await runMonitor(session(options))
  })

  command('health', 'Whether a service of this machine is ready, for health checks', [
    'dslog health log --wait 1m        # at the address that its environment says; or give its URL',
  ])
    .argument('<service|url>', 'log, monitor or crawler, or the URL of one')
    .option('--wait <time>', 'how long it may take to become ready (default: not at all)', duration)
    .action(async (what: string, options: GlobalOptions & { wait?: number }) => {
      const { health } = await import('./command/health.ts')
      await health(session(options), what, options)
    })

  command('crawler', 'One process of a crawler, configured by the environment', [
    'DSLOG_CRAWLER_LOG_URL=https://log.example DSLOG_CRAWLER_NAMES=domains.txt dslog crawler',
  ]).action(async (options: GlobalOptions) => {
    const { runCrawler } = await import('./command/crawler.ts')
    await runCrawler(session(options))
  })

  command('import', 'Imports signed zone files, in order, each at its own time', [
    'dslog import root-2019.zone.gz root-2024.zone.gz',
    'dslog import --at 2024-07-19T06:00:00Z root.zone',
    'dslog import --log https://log.example --json root.zone   # DSLOG_OPERATOR_TOKEN is set',
  ])
    .argument('<file...>', 'zone files, plain or gzip')
    .option('--at <time>', 'when the files are checked: ISO 8601, or YYYYMMDDHHmmSS in UTC', time)
    .option('--zone <name>', 'apex of the zone, where the file does not say')
    .action(async (files: string[], options: GlobalOptions & ImportOptions) => {
      const { importFiles } = await import('./command/import.ts')
      await importFiles(session(options), files, options)
    })

  command('history', 'Every change of a name, with proof that it is every change', [
    'dslog history fi.',
    'dslog history --json bücher.example',
    'dslog history --log https://log.example --policy policy example.org',
  ])
    .argument('<name>', 'domain name; also one that was never logged')
    .action(async (name: string, options: GlobalOptions) => {
      const { history } = await import('./command/history.ts')
      await history(session(options), name)
    })

  command('prove', 'Writes a proof file that verifies offline', [
    'dslog prove fi. -o fi.tlog-proof',
    'dslog prove 1234 -o - | dslog verify -',
  ])
    .argument('<name|index>', 'domain name, or index of an entry (a name of digits: with its dot)')
    .requiredOption('-o, --output <file>', 'where the proof goes; - is standard output')
    .action(async (what: string, options: GlobalOptions & ProveOptions) => {
      const { prove } = await import('./command/prove.ts')
      await prove(session(options), what, options)
    })

  command('verify', 'Verifies a proof file: policy, inclusion, DNSSEC evidence up to the root', [
    'dslog verify --policy policy fi.tlog-proof',
    'dslog verify --json - < fi.tlog-proof',
  ])
    .argument('<file>', 'proof file; - is standard input')
    .action(async (file: string, options: GlobalOptions) => {
      const { verify } = await import('./command/verify.ts')
      await verify(session(options), file)
    })

  command('audit', 'Verifies a whole log: hashes, signatures, evidence, rules, every map head', [
    'dslog audit',
    'dslog audit --log https://log.example --policy policy --state audit.d   # again: only what is new',
    'dslog audit --from 100000',
  ])
    .option('--from <index>', 'from this entry on; what that leaves unchecked is said', index)
    .option('--state <dir>', 'remembers what was verified, so that the next audit goes on there')
    .action(async (options: GlobalOptions & AuditOptions) => {
      const { audit } = await import('./command/audit.ts')
      await audit(session(options), options)
    })

  withEnforceOptions(
    command(
      'enforce',
      'A DNS forwarder that answers SERVFAIL below a DS that is not logged',
      ENFORCE_EXAMPLES,
    ),
  ).action(async (options: GlobalOptions & EnforceOptions) => {
    const { enforce } = await import('./command/enforce.ts')
    await enforce(session(options), options)
  })

  command('consistency', 'Whether one checkpoint continues another', [
    'dslog consistency old.txt new.txt',
    'dslog consistency --policy policy old.txt https://log.example/checkpoint',
  ])
    .argument('<old>', 'checkpoint: a file, or the URL of one or of a log')
    .argument('<new>', 'checkpoint likewise')
    .action(async (older: string, newer: string, options: GlobalOptions) => {
      const { consistency } = await import('./command/consistency.ts')
      await consistency(session(options), older, newer)
    })

  command('watch', 'Follows changes of names live, each proven here', [
    'dslog watch example.com example.org',
    'dslog watch --once --json example.com    # waits for one change',
  ])
    .argument('<name...>', 'domain names; with the names below, and the zones above')
    .option('--once', 'ends after the first change')
    .option('--from <index>', 'shows what has happened from this entry on, too', index)
    .action(async (names: string[], options: GlobalOptions & WatchOptions) => {
      const { watch } = await import('./command/watch.ts')
      await watch(session(options), names, options)
    })

  command(
    'pins',
    'Which keys a name may have: an owner key, signed statements, their publication',
    [
      'dslog pins keygen -o owner.key',
      'dslog pins sign example.com "DS 2371 13 2 1F98…" --key owner.key --monitor https://monitor.example -o pins.json',
      'dslog pins publish pins.json --subscription sub_… --monitor https://monitor.example   # DSLOG_SUBSCRIPTION_TOKEN is set',
    ],
  )
    .argument('<action>', 'keygen, sign or publish')
    .argument(
      '[what...]',
      'sign: a name and its pins ("DS …" or "DNSKEY …"; none takes all back); publish: a file',
    )
    .option('--key <file>', 'owner key, made by keygen')
    .option('--monitor <url>', 'the monitor that the pins are for')
    .option('--subscription <id>', 'the subscription that they are of')
    .option(
      '--seq <n>',
      'number of the statement, higher than any before (default: the time)',
      index,
    )
    .option('--until <time>', 'when the statement ends (default: in 13 months)', time)
    .option('-o, --output <file>', 'where the key or the statement goes')
    .action(async (action: string, what: string[], options: GlobalOptions & PinsOptions) => {
      const { pins } = await import('./command/pins.ts')
      await pins(session(options), action, what, options)
    })

  command('policy', 'Checks a policy (C2SP tlog-policy), and says what it amounts to', [
    'dslog policy check policy',
  ])
    .argument('<action>', 'check')
    .argument('<file>', 'policy file')
    .action(async (action: string, file: string, options: GlobalOptions) => {
      const { policy } = await import('./command/policy.ts')
      await policy(session(options), action, file)
    })

  command('check', 'A delegation as the resolver, the parent and the log show it', [
    'dslog check example.org',
    'dslog check --resolver 9.9.9.9 --submit example.org',
  ])
    .argument('<name>', 'domain name')
    .option('--submit', 'sends the log signed states that it lacks; that publishes the name')
    .option('--resolver <address>', "resolver to ask, with #PORT (default: this machine's)")
    .action(async (name: string, options: GlobalOptions & CheckOptions) => {
      const { check } = await import('./command/check.ts')
      await check(session(options), name, options)
    })

  command('submit', 'Sends signed states that the log lacks, out of what somebody saw', [
    'unbound-control dump_cache | dslog submit -',
    'dig +dnssec +multiline DS example.org @a0.org.afilias-nst.info | dslog submit -',
  ])
    .argument(
      '<file>',
      "resolver's cache, output of dig, zone file or messages; - is standard input",
    )
    .action(async (file: string, options: GlobalOptions) => {
      const { submit } = await import('./command/submit.ts')
      await submit(session(options), file)
    })

  command('keygen', 'Makes a signer key of a log, a witness or an auditor', [
    'dslog keygen --origin log.example/ds -o log.key',
    'dslog keygen --origin log.example/ds --type mldsa44 -o post-quantum.key',
    'dslog keygen --role witness --origin witness.example/ds -o witness.key',
    'dslog keygen    # into the data folder, under a local name',
  ])
    .option('--origin <name>', 'name of the log, witness or auditor: a URL without scheme')
    .addOption(oneOf('--role <role>', 'whose key it is (default: log)', ROLES))
    .addOption(oneOf('--type <type>', 'its algorithm (default: ed25519)', TYPES))
    .option(
      '-o, --output <file>',
      'key file (default: log.key in the data folder, or that of the role)',
    )
    .action(async (options: GlobalOptions & KeygenOptions) => {
      const { keygen } = await import('./command/keygen.ts')
      await keygen(session(options), options)
    })

  command('freeze', 'Ends a log for good, with a last tree', [
    'dslog freeze --yes --data /var/lib/dslog    # while the service is stopped; then start it again',
  ])
    .option('--yes', 'that is what is wanted: nothing can undo it')
    .action(async (options: GlobalOptions & { yes?: boolean }) => {
      const { freeze } = await import('./command/freeze.ts')
      await freeze(session(options), options)
    })

  command('fsck', 'Checks a stored log from end to end, and changes nothing', [
    'dslog fsck --data /var/lib/dslog',
    'DATABASE_URL=postgres://… dslog fsck',
  ]).action(async (options: GlobalOptions) => {
    const { fsck } = await import('./command/fsck.ts')
    await fsck(session(options))
  })

  command('export', 'Writes the log as static files that any web server can serve', [
    'dslog export public/',
    'dslog export --log https://log.example --policy policy mirror/   # again: only what is new',
  ])
    .argument('<dir>', 'folder that becomes the log')
    .action(async (folder: string, options: GlobalOptions) => {
      const { exportLog } = await import('./command/export.ts')
      await exportLog(session(options), folder)
    })

  command('mirror', 'Copies a whole log into a folder, and verifies all of it on the way', [
    'dslog mirror --log https://log.example --policy policy mirror/   # again: only what is new',
    'dslog mirror --check --log https://log.example --policy policy mirror/',
  ])
    .argument('<dir>', 'folder that becomes the mirror')
    .option('--check', 'reads again what is there, and fetches what is damaged')
    .action(async (folder: string, options: GlobalOptions & MirrorOptions) => {
      const { mirror } = await import('./command/mirror.ts')
      await mirror(session(options), folder, options)
    })

  command(
    'restore',
    'Brings a database that is older than what was signed up to the published tree',
    [
      'dslog restore --from https://mirror.example/log',
      'DATABASE_URL=postgres://… dslog restore --from /srv/www/log',
    ],
  )
    .requiredOption('--from <url|dir>', 'published files of this log: a URL, or a folder')
    .option('--without-signer', 'the record of what was signed is lost: believe the published tree')
    .action(async (options: GlobalOptions & RestoreOptions) => {
      const { restoreLog } = await import('./command/restore.ts')
      await restoreLog(session(options), options)
    })

  command('rebuild-map', 'Makes the name map of a stored log anew from its entries', [
    'dslog rebuild-map --data /var/lib/dslog',
  ]).action(async (options: GlobalOptions) => {
    const { rebuild } = await import('./command/rebuild-map.ts')
    await rebuild(session(options))
  })

  command('migrate', 'Brings the tables of a service up to date, and grants roles what they need', [
    'DATABASE_URL=postgres://dslog_owner@… dslog migrate --role dslog_log --reader dslog_log_reader',
  ])
    .argument('[service]', 'log, crawler or monitor', 'log')
    .option('--role <name>', 'role of the service: of the log, it may add entries and change none')
    .option('--reader <name>', 'role of processes that only read')
    .action(async (service: string, options: GlobalOptions & MigrateOptions) => {
      const { migrateTables } = await import('./command/migrate.ts')
      await migrateTables(session(options), service, options)
    })

  return program
}
