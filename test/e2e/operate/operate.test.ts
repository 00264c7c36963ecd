/**
 * docs/operate.md, followed to the letter on a machine that has PostgreSQL, nginx, Node and systemd, and nothing of
 * ours: every block of it that is a command or a file, in order. Around it is a small signed internet with a mail server
 * (world.ts); what has to be said of that is added to settings, and is all that the manual does not say.
 */
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { FROM_SOURCE, REPOSITORY } from '../../repository.ts'
import { canBoot, Machine } from './machine.ts'
import { fileOf, Manual } from './manual.ts'

const PREPARE = fileURLToPath(new URL('prepare.sh', import.meta.url))
const WORLD_PROGRAM = fileURLToPath(new URL('world.ts', import.meta.url))
/** Where the manual gives its commands. */
const SOURCES = '/opt/dslog'
const WORLD = '/srv/world'

/** For what somebody waits who follows the manual, ms. */
const PATIENCE = { timeout: 120_000, interval: 500 }

/** A line of world.ts. */
type Told =
  | { readonly event: 'ready'; readonly root: string; readonly port: number }
  | {
      readonly event: 'mail'
      readonly to: string[]
      readonly subject: string
      readonly text: string
    }

describe.skipIf(!canBoot())('docs/operate.md', () => {
  const manual = new Manual(readFileSync(join(REPOSITORY, 'docs/operate.md'), 'utf8'))
  const told: Told[] = []
  let machine: Machine
  let dns: Extract<Told, { event: 'ready' }>
  let tellWorld: (line: string) => void
  let sizeOfBackup = 0

  beforeAll(async () => {
    machine = await Machine.boot()
    await machine.must(`bash ${PREPARE} ${REPOSITORY}`)
    const node = ['node', ...FROM_SOURCE, WORLD_PROGRAM, WORLD].join(' ')
    const world = machine.run(`exec ${node}`, REPOSITORY)
    createInterface(world.stdout!).on('line', (line) => told.push(JSON.parse(line) as Told))
    tellWorld = (line) => void world.stdin!.write(`${line}\n`)
    dns = await vi.waitFor(() => {
      const [first] = told
      if (first?.event !== 'ready') throw new Error('the world is not ready')
      return first
    }, PATIENCE)
  })

  afterAll(() => machine?.stop())

  /** Does what the next block of a section says. @returns what was said */
  async function follow(section: string, holding?: string): Promise<string> {
    const block = manual.take(section, holding)
    const path = fileOf(block)
    if (path === undefined) return machine.must(block.text, cwdOf(block.text))
    await machine.must(
      `mkdir -p ${dirname(path)}; cat > ${path} <<'END OF FILE'\n${block.text}END OF FILE`,
    )
    return ''
  }

  /** Settings that are those of this internet, not of the manual. */
  async function settle(service: string, lines: readonly string[]): Promise<void> {
    const settings = [`DSLOG_ANCHORS=${WORLD}/anchors`, ...lines]
    await machine.must(`printf '%s\\n' ${settings.join(' ')} >> /etc/dslog/${service}.env`)
  }

  async function ask<T>(url: string): Promise<T> {
    return JSON.parse(await machine.must(`curl --fail --silent ${CA} ${url}`)) as T
  }
  const sizeOf = async (): Promise<number> =>
    (await ask<{ size: number }>('http://127.0.0.1:8080/v1/checkpoint')).size
  const published = (): Promise<string> =>
    machine.must(`curl --fail --silent --include ${CA} https://log.example/checkpoint`)
  const verified = async (): Promise<number | undefined> => {
    const { logs } = await ask<{ logs: { size: number; state: string }[] }>(
      'https://monitor.example/v1/status',
    )
    return logs[0]?.state === 'following' ? logs[0].size : undefined
  }
  const mails = (): Told[] => told.filter(({ event }) => event === 'mail')

  test('sources, users, databases, settings', async () => {
    await follow('With systemd')
    await follow('With systemd')
    await follow('With systemd')
    await follow('With systemd')
    const { port, root } = dns
    await settle('log', [])
    await settle('crawler', [
      `DSLOG_CRAWLER_ROOT_SERVERS=${root}`,
      `DSLOG_CRAWLER_DNS_PORT=${port}`,
      'DSLOG_CRAWLER_ALLOW=127.0.0.0/8',
      `DSLOG_CRAWLER_TRANSFERS=.@${root}`,
      'DSLOG_CRAWLER_TRANSFER_INTERVAL=2s',
    ])
    const { said } = await machine.sh('ls -ld /etc/dslog; stat -c %a%U /etc/dslog/*-url')
    expect(said).toMatch(/^drwx------ .*\n(600root\n){4}$/)
  })

  test('the log, once', async () => {
    const { text } = manual.take('With systemd')
    const creating = machine.run(text, SOURCES)
    const ended = once(creating, 'close')
    const runs = async (): Promise<number | null> =>
      (await machine.sh('npx dslog health log', SOURCES)).code
    await expect.poll(runs, PATIENCE).toBe(0)
    // Ctrl-C.
    process.kill(-creating.pid!, 'SIGINT')
    await ended
    expect(await machine.must('stat -c %a /var/lib/dslog-log/log.key')).toBe('600\n')
  })

  test('the past, then the services', async () => {
    await machine.must(`cp ${WORLD}/root-*.zone.gz ${SOURCES}`)
    expect(await follow('With systemd')).toMatch(/2 files: \d+ entries added, 3 changes/)
    await follow('With systemd')
    const users = await machine.must('ps -o user:20= -C node --sort user')
    expect(users).toMatch(/^(dslog-crawler\n)(dslog-log\n)/)
  })

  test('a proxy, a monitor', async () => {
    await follow('The proxy, and TLS')
    await follow('The proxy, and TLS')
    await follow('The proxy, and TLS')
    await follow('The monitor')
    const { port, root } = dns
    await settle('monitor', [
      `DSLOG_MONITOR_DNS_ROOTS=${root}`,
      `DSLOG_MONITOR_DNS_PORT=${port}`,
      'DSLOG_MONITOR_DNS_ALLOW=127.0.0.0/8',
    ])
    await follow('The monitor')
    expect(await follow('Is it well?')).toMatch(/^ready\nready\n.*all \d+ entries are good/)
    await expect.poll(verified, PATIENCE).toBe(await sizeOf())
  })

  test('files behind nginx', async () => {
    await follow('Publication')
    manual.take('Publication')
    await follow('Publication')
    await follow('Publication')
    const size = await sizeOf()
    await expect.poll(published, PATIENCE).toContain(`log.example/ds\n${size}\n`)
    const { said } = await machine.sh(
      `curl -sI ${CA} https://log.example/tile/0/000.p/${size}; systemctl stop dslog-log;
       npx dslog audit --log https://log.example --policy /var/lib/dslog-log/policy; systemctl start dslog-log`,
      SOURCES,
    )
    expect(said).toMatch(/cache-control: public, max-age=604800, immutable/i)
    // From the files alone.
    expect(said).toContain(`all ${size} entries are good`)
  })

  test('processes that only read, one of which dies', async () => {
    await follow('Processes that only read')
    await settle('log-reader', [])
    await follow('Processes that only read')
    await follow('Processes that only read')
    const { said } = await machine.sh(
      `systemctl kill --signal KILL dslog-log-reader@8083
       for turn in 1 2 3 4; do curl -s -o /dev/null -w '%{http_code} ' ${CA} https://log.example/v1/names/fi.; done
       systemctl stop dslog-log
       for path in v1/names/fi. v1/checkpoint v1/log; do curl -s -o /dev/null -w '%{http_code} ' ${CA} https://log.example/$path; done
       systemctl start dslog-log && npx dslog health log --wait 1m`,
      SOURCES,
    )
    expect(said).toBe(`${'200 '.repeat(7)}ready\n`)
    // systemd starts what was killed.
    await machine.must('npx dslog health http://127.0.0.1:8083 --wait 1m', SOURCES)
  })

  test('a witness and an auditor', async () => {
    const said = await follow('Witnesses', 'keygen')
    const [witness, auditor] = [...said.matchAll(/^vkey:\s+(\S+)$/gm)].map(([, vkey]) => vkey)
    const policy = [
      `witness w1 ${witness} https://monitor.example`,
      `witness a1 ${auditor} https://monitor.example`,
      'group both all w1 a1',
      'quorum both',
    ]
    await machine.must(
      `printf '%s\\n' ${policy.map((line) => `'${line}'`).join(' ')} > witnesses`,
      SOURCES,
    )
    await follow('Witnesses', 'policy check')
    await expect
      .poll(published, PATIENCE)
      .toMatch(/^— w1\.example\/ds .*\n— w1\.example\/ds-audit /m)
  })

  test('a backup, and after it an alert by mail', async () => {
    await follow('Backups, and a drill')
    sizeOfBackup = await sizeOf()
    // Another key for some seconds, and no word of it before: an interception, as rule R10 of docs/monitor.md.
    tellWorld('swap')
    await expect.poll(verified, PATIENCE).toBeGreaterThan(sizeOfBackup)
    const swapped = await sizeOf()
    tellWorld('back')
    await expect.poll(verified, PATIENCE).toBeGreaterThan(swapped)
    await expect.poll(mails, PATIENCE).toContainEqual(
      expect.objectContaining({
        to: ['hostmaster@example.net'],
        subject: expect.stringMatching(/CRITICAL.*fi\./) as string,
        text: expect.stringContaining('https://monitor.example/') as string,
      }),
    )
  })

  test('a drill', async () => {
    await machine.must('install -D -m 0600 /var/lib/dslog-log/log.key /media/offline/log.key')
    const said = await follow('Backups, and a drill')
    expect(said).toMatch(/entries \d+ to \d+ are back.*\n.*, all as they should be/)
  })

  test('a restored backup does not sign before the rest is back', async () => {
    const size = await sizeOf()
    const refused = await follow('A restored backup')
    expect(refused).toContain(
      `the database holds ${sizeOfBackup} entries, but ${size} were signed: restore the rest first`,
    )
    expect(manual.take('A restored backup').language).toBe('')
    await follow('A restored backup')
    // It is published again once its witnesses have seen that it is the same tree.
    await expect.poll(sizeOf, PATIENCE).toBe(size)
    tellWorld('swap')
    await expect.poll(verified, PATIENCE).toBeGreaterThan(size)
  })

  test('a mirror', async () => {
    await follow('Mirrors')
    expect(await machine.must('head -n 2 /srv/www/mirror/checkpoint')).toBe(
      `log.example/ds\n${await sizeOf()}\n`,
    )
  })

  test('keys', async () => {
    await machine.must('mkdir /root/ceremony')
    const { text } = manual.take('The key ceremony')
    const made = await machine.must(
      text
        .replaceAll(/-o (\w+\.key)/g, '-o /root/ceremony/$1')
        .replace('sha256sum', 'cd /root/ceremony && sha256sum'),
      SOURCES,
    )
    expect(made.match(/^[0-9a-f]{64} {2}\w+\.key$/gm)).toHaveLength(2)
    await follow('Keys')
    const { vkeys } = await ask<{ vkeys: string[] }>('https://log.example/v1/log')
    expect(vkeys).toHaveLength(2)
  })

  test('an upgrade', async () => {
    await follow('Upgrades')
    await expect.poll(verified, PATIENCE).toBe(await sizeOf())
  })

  test('an end', async () => {
    await follow('Ending a log')
    const frozen = async (): Promise<unknown> => ask('https://log.example/v1/log').catch(() => ({}))
    await expect.poll(frozen, PATIENCE).toMatchObject({ frozen: expect.anything() as unknown })
  })

  test('there is nothing else to do', () => {
    const left = manual.left.map(({ section, text }) => `${section}: ${text.split('\n', 1)[0]}`)
    expect(left).toEqual([
      // There is no Docker engine.
      'With containers: deploy/secrets.sh                                                # deploy/secrets/*: passwords, tokens',
      // An example: the keys of others are elided.
      'Witnesses: # witnesses: who is asked, where, and how many of them it takes',
    ])
  })
})

const CA = '--cacert /etc/letsencrypt/ca.pem'

/** Before there are sources, commands are given elsewhere. */
function cwdOf(script: string): string {
  return script.startsWith('git clone') ? '/' : SOURCES
}
