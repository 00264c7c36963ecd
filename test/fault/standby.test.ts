/**
 * `dslog log --read-only` on a hot standby, as the role that may only select: it follows what the primary has published,
 * shows what it knows while its server is away, and goes on when the standby becomes the primary.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parsePolicy } from '@dslog/tlog/policy'
import { ALGORITHM } from '@dslog/dnssec/backend/backend'
import { nodeBackend } from '@dslog/dnssec/backend/node'
import { nameFromText } from '@dslog/dnssec/name'
import type { LogTables } from '@dslog/schema/db'
import { LOG_GRANTS, readGrants } from '@dslog/schema/grants'
import { LOG_MIGRATIONS } from '@dslog/schema/migrate'
import { HOUR } from '@dslog/schema/time'
import { readConfig } from '@dslog/service/config'
import { openDatabase } from '@dslog/service/db'
import { grantTo } from '@dslog/service/grants'
import { migrate } from '@dslog/service/migrate'
import { Lifecycle } from '@dslog/service/run'
import { Internet } from '@dslog/testbed/internet'
import { startReplicated } from '@dslog/testbed/replicated'
import { ownerDs } from '@dslog/testbed/stories'
import { verifyProofFile } from '@dslog/verify/verify'
import { LOG_CONFIG } from '@dslog/log/config'
import { LOG_FILES, LOG_SCHEMA } from '@dslog/log/files'
import { readService } from '@dslog/log/readonly'
import { type Place, Places, policyOf } from '../place.ts'
import { asRole, makeRoles } from '../role.ts'
import { silent } from '../silent.ts'
import { observe, TestLog } from '../testlog.ts'

/** A reader that has not seen its tables for ten seconds says so: it is asked now and then, ms. */
const NOTICED = { interval: 500 }

const places = await Places.open(['embedded'])
const servers = await startReplicated()
afterAll(async () => {
  await servers?.stop()
  await places.close()
})

describe.skipIf(servers === undefined)('a reader on a hot standby', () => {
  const pair = servers!
  const net = new Internet()
  const fi = net.addZone('fi.', { algorithm: ALGORITHM.ED25519 })
  const { now } = net.clock
  const owner = nameFromText('a.fi.')
  let place: Place
  let folder: string
  let log: TestLog
  let reader: Lifecycle
  let url: string
  let generation = 0

  async function openOn(server: string): Promise<TestLog> {
    const env = { ...place.env, DATABASE_URL: asRole(server, 'dslog_log') }
    return TestLog.open({ place: { ...place, kind: 'postgres', env }, clock: now })
  }

  async function grow(): Promise<void> {
    net.clock.advance(HOUR)
    fi.delegate(owner, [ownerDs(owner, ++generation)])
    await log.submit(observe(net, owner))
  }

  async function text(path: string): Promise<string> {
    const answer = await fetch(url + path)
    expect(answer.status, path).toBe(200)
    return answer.text()
  }

  /** The reader shows the newest tree, and all of a name, proven. */
  async function expectFollowed(): Promise<void> {
    await expect.poll(() => text('/checkpoint'), NOTICED).toBe(log.log.published.note)
    const file = await text('/v1/names/a.fi./proof')
    const { anchors } = net
    const policy = parsePolicy(new TextEncoder().encode(policyOf()))
    const verifier = { policy, anchors, backend: nodeBackend(), now: now() }
    const report = await verifyProofFile(new TextEncoder().encode(file), verifier)
    expect(report.kind === 'name' && report.history.length).toBe(generation)
    for (const path of ['/v1/zones/fi./names', '/v1/changes?after=0', '/tile/entries/000.p/1']) {
      await text(path)
    }
  }

  const ready = async (): Promise<number> => (await fetch(`${url}/readyz`)).status

  beforeAll(async () => {
    place = await places.make('embedded', net.anchors)
    folder = await mkdtemp(join(tmpdir(), 'dslog-standby-'))
    await writeFile(join(folder, LOG_FILES.policy), policyOf())
    await makeRoles(pair.primary, folder)
    const owned = { url: asRole(pair.primary, 'dslog_owner'), folder, schema: LOG_SCHEMA }
    const tables = await openDatabase<LogTables>(owned)
    await migrate(tables, LOG_MIGRATIONS)
    await grantTo(tables, 'dslog_log', LOG_GRANTS)
    await grantTo(tables, 'dslog_log_reader', readGrants(LOG_GRANTS))
    await tables.close()
    log = await openOn(pair.primary)
    await grow()
    const { log: config } = readConfig(
      { log: LOG_CONFIG },
      {
        DSLOG_DATA: folder,
        DSLOG_ANCHORS: place.env['DSLOG_ANCHORS']!,
        DATABASE_URL: asRole(pair.standby, 'dslog_log_reader'),
        DSLOG_LOG_PORT: '0',
        DSLOG_LOG_RATE_LIMIT: '100000',
      },
    )
    const service = readService({ config, logger: silent })
    reader = new Lifecycle(service.components, silent)
    await reader.start()
    url = `http://127.0.0.1:${service.port()}`
  })
  afterAll(async () => {
    await reader.stop()
    await log.close()
    await rm(folder, { recursive: true })
  })

  test('shows what the primary has published', async () => {
    for (let tree = 0; tree < 5; tree++) {
      await grow()
      await expectFollowed()
    }
    expect(await ready()).toBe(200)
    const submitted = await fetch(`${url}/v1/observations`, { method: 'POST', body: '{}' })
    expect(submitted.status).toBe(503)
  })

  test('shows what it knows while the standby is away, says that it is blind, and goes on', async () => {
    const checkpoint = await text('/checkpoint')
    await pair.killStandby()
    expect(await text('/checkpoint')).toBe(checkpoint)
    await expect.poll(ready, NOTICED).toBe(503)
    expect(await text('/checkpoint')).toBe(checkpoint)
    // Of a log as small as this it holds names in memory; the list of those of a zone is in the tables alone.
    await text('/v1/names/a.fi.')
    expect((await fetch(`${url}/v1/zones/fi./names`)).status).toBe(503)
    await pair.startStandby()
    await grow()
    await expectFollowed()
    expect(await ready()).toBe(200)
  })

  test('follows the log when that goes on there, after the primary has died', async () => {
    const checkpoint = await text('/checkpoint')
    await pair.killPrimary()
    await expect(grow()).rejects.toBeDefined()
    await log.close().catch(() => {})
    expect(await text('/checkpoint')).toBe(checkpoint)
    await pair.promote()
    log = await openOn(pair.standby)
    generation--
    await grow()
    await expectFollowed()
  })
})
