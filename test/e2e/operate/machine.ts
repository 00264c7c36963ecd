/**
 * A fresh machine to follow a manual on (boot.sh), and a shell in it: as root, as the manual says. What is done there
 * touches nothing outside, and is gone when it is stopped. It needs Linux, root, systemd, and what an operator has
 * installed: PostgreSQL, nginx, sudo.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { missingOf } from '@dslog/testbed/program'
import { MINUTE } from '@dslog/schema/time'

const BOOT = fileURLToPath(new URL('boot.sh', import.meta.url))
const PROGRAMS = ['unshare', 'nsenter', 'ip', 'pg_createcluster', 'nginx', 'sudo', 'git', 'openssl']
/** Where systemd keeps control groups: one hierarchy for all, or one that is called so. */
const GROUPS = ['/sys/fs/cgroup/systemd', '/sys/fs/cgroup'] as const
const BOOT_LIMIT = MINUTE

/** What a script said, and how it ended. */
export interface Done {
  readonly code: number | null
  readonly said: string
}

/** A machine can be booted here; prints why not. */
export function canBoot(): boolean {
  const why = obstacle()
  if (why !== undefined) console.log(`skipped: ${why}, so docs/operate.md is not followed`)
  return why === undefined
}

function obstacle(): string | undefined {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'not root on Linux'
  if (!existsSync('/lib/systemd/systemd')) return 'no systemd'
  const missing = missingOf(...PROGRAMS)
  if (missing.length > 0) return `no ${missing.join(', ')}`
  const tried = spawnSync('unshare', ['--mount', '--net', '--pid', '--fork', 'true'])
  return tried.status === 0 ? undefined : 'no namespaces'
}

/** See the head of this file. */
export class Machine {
  readonly #folder: string
  readonly #group: string
  readonly #process: ChildProcess
  readonly #init: number

  private constructor(options: {
    folder: string
    group: string
    process: ChildProcess
    init: number
  }) {
    this.#folder = options.folder
    this.#group = options.group
    this.#process = options.process
    this.#init = options.init
  }

  static async boot(): Promise<Machine> {
    const folder = mkdtempSync(join(tmpdir(), 'dslog-machine-'))
    const group = join(
      GROUPS.find((path) => existsSync(path))!,
      `dslog-${process.pid}`,
    )
    mkdirSync(group, { recursive: true })
    const namespaces = ['--mount', '--net', '--pid', '--ipc', '--uts', '--cgroup']
    // In a group of its own before its view of groups begins there: its systemd sees no others.
    const enter = `echo $$ > ${group}/cgroup.procs && exec unshare "$@"`
    const words = [...namespaces, '--fork', '--kill-child', 'bash', BOOT, folder]
    const child = spawn('bash', ['-c', enter, 'boot', ...words], {
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    let said = ''
    child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()))
    const end = Date.now() + BOOT_LIMIT
    for (;;) {
      const init = initOf(child.pid!)
      const machine = new Machine({ folder, group, process: child, init })
      if (init > 0 && (await machine.sh('systemctl is-active basic.target')).code === 0) {
        return machine
      }
      if (Date.now() > end || child.exitCode !== null) {
        await machine.stop()
        throw new Error(`the machine does not boot: ${said}`)
      }
      await sleep(200)
    }
  }

  /** A shell script, given as bash is given one that a user pastes, but ended by the first failure. */
  run(script: string, cwd = '/'): ChildProcess {
    const enter = ['--target', String(this.#init), '--all', `--wdns=${cwd}`]
    // A group of its own, so that Ctrl-C reaches all of it.
    return spawn('nsenter', [...enter, 'bash', '-euo', 'pipefail', '-c', script], {
      env: { HOME: '/root', USER: 'root', LANG: 'C.UTF-8', PATH, ...SETTINGS },
      stdio: ['pipe', 'pipe', 'pipe'],
      detached: true,
    })
  }

  /** The same, to its end. */
  async sh(script: string, cwd?: string): Promise<Done> {
    const child = this.run(`exec 2>&1\n${script}`, cwd)
    child.stdin!.end()
    const [said, [code]] = await Promise.all([
      text(child.stdout!),
      once(child, 'close') as Promise<[number | null]>,
    ])
    return { code, said }
  }

  /** The same; a failure throws. @returns what it said */
  async must(script: string, cwd?: string): Promise<string> {
    const { code, said } = await this.sh(script, cwd)
    if (code !== 0) throw new Error(`${script}\nended with ${code}: ${said}`)
    return said
  }

  /** Switches it off, as a plug that is pulled. */
  async stop(): Promise<void> {
    if (this.#process.exitCode === null && this.#process.signalCode === null) {
      const closed = once(this.#process, 'close')
      if (this.#init > 0) process.kill(this.#init, 'SIGKILL')
      else this.#process.kill('SIGKILL')
      await closed
    }
    rmSync(this.#folder, { recursive: true, force: true })
    await removeGroup(this.#group)
  }
}

/** Of a shell: whom everything on Node trusts there (prepare.sh), and the root of its internet (world.ts). */
const SETTINGS = {
  NODE_EXTRA_CA_CERTS: '/etc/letsencrypt/ca.pem',
  DSLOG_ANCHORS: '/srv/world/anchors',
} as const
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/** PID 1 of the machine, as it is called outside; 0 as long as there is none. */
function initOf(unshare: number): number {
  try {
    const [child] = readFileSync(`/proc/${unshare}/task/${unshare}/children`, 'utf8').split(' ')
    const { status } = spawnSync('grep', ['-q', 'systemd', `/proc/${child}/comm`])
    return status === 0 ? Number(child) : 0
  } catch {
    return 0
  }
}

/** Empty groups alone can go, the lowest first; processes take a moment to be gone. */
async function removeGroup(group: string): Promise<void> {
  for (let tries = 0; tries < 20; tries++) {
    spawnSync('find', [group, '-depth', '-type', 'd', '-exec', 'rmdir', '{}', ';'])
    if (!existsSync(group)) return
    await sleep(100)
  }
}
