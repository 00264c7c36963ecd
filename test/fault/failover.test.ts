/**
 * Failover on two real servers: the primary is killed under load, the standby promoted, the log pointed to it.
 * Nothing that was acknowledged is lost, and no checkpoint that anybody saw is contradicted.
 */
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { readConfig } from '@dslog/service/config'
import { openDatabase } from '@dslog/service/db'
import { SynchronousStandby } from '@dslog/service/replication'
import { type ReplicatedPostgres, startReplicated } from '@dslog/testbed/replicated'
import { LOG_CONFIG } from '@dslog/log/config'
import { openLogDatabase } from '@dslog/log/main'
import { type Place, Places } from '../place.ts'
import { silent } from '../silent.ts'
import { CrashedLog } from './crash.ts'
import { Stream } from './stream.ts'

const places = await Places.open(['embedded'])
const servers = await startReplicated()
afterAll(async () => {
  await servers?.stop()
  await places.close()
})

/** Lines that a submitter says before the primary dies. */
const LINES = 25

describe.skipIf(servers === undefined)('a log on a primary with a synchronous standby', () => {
  let pair: ReplicatedPostgres
  let place: Place
  let log: CrashedLog

  /** The same log on one of the servers. */
  function at(url: string, env: Readonly<Record<string, string>> = {}): Place {
    return { ...place, kind: 'postgres', env: { ...place.env, DATABASE_URL: url, ...env } }
  }
  const SYNCHRONOUS = { DSLOG_LOG_SYNCHRONOUS: 'true' }

  beforeAll(async () => {
    pair = servers!
    place = await places.make('embedded', new Stream().net.anchors)
    log = new CrashedLog(at(pair.primary, SYNCHRONOUS))
  })

  test('works, killed or not', async () => {
    await log.crash({ lines: 6, delay: 3 })
    expect(log.counts.acked).toBeGreaterThan(0)
  })

  test('signs nothing that the standby has not', async () => {
    const db = await openDatabase({
      url: pair.primary,
      folder: place.data,
      statementTimeout: 2_000,
    })
    onTestFinished(() => db.close())
    const standby = new SynchronousStandby(db, 500)
    await standby.demandSettings()
    await standby.caughtUp()
    await pair.killStandby()
    await expect(standby.caughtUp()).rejects.toMatchObject({
      code: 'standby',
      message: expect.stringMatching(/none is connected|none has/),
    })
    await pair.startStandby()
    await expect
      .poll(() =>
        standby.caughtUp().then(
          () => true,
          () => false,
        ),
      )
      .toBe(true)
  })

  test('goes on, on the standby, when the primary dies under load', async () => {
    const server = (): Promise<void> => pair.killPrimary()
    const repair = async (): Promise<void> => {
      await pair.promote()
      // Alone now: nobody is there to wait for, and that is said.
      const config = readConfig({ log: LOG_CONFIG }, at(pair.standby, SYNCHRONOUS).env).log
      await expect(openLogDatabase({ config, logger: silent })).rejects.toMatchObject({
        code: 'standby',
      })
      log.moveTo(at(pair.standby))
    }
    await log.crash({ lines: LINES, delay: 5, server }, { repair })
    expect(log.counts.acked).toBeGreaterThan(5)
    await log.crash({ lines: 10, delay: 3 })
    console.log(`failover: ${JSON.stringify(log.counts)}`)
  })
})
