/** The same SQL on a PostgreSQL server, where there is one. */
import { afterAll, expect, test } from 'vitest'
import { startPostgres } from '@dslog/testbed/postgres'
import { atTestPoint } from '../../../test/testpoint.ts'
import { evidenceAfter, findingsOf } from '../src/findings.ts'
import { follower, history, logOf, place, RUNNING } from './world.ts'

const postgres = await startPostgres()
afterAll(async () => {
  await postgres?.stop()
})

test.skipIf(postgres === undefined)(
  'a log is followed, divided trees and crashes included',
  async () => {
    const past = await history(150)
    const log = logOf(past)
    const [here, served] = [await place(postgres), await log.serve()]
    const { anchors, clock } = past.net
    const world = { log, served, db: here.db, anchors, clock: clock.now }
    let pass = 0
    const off = atTestPoint((name) => {
      if (name === 'monitor.committing' && ++pass % 2 === 0) throw new Error('killed')
    })
    try {
      const limits = { entries: 40, waiting: 40, bytes: 1e9 }
      let monitor = await follower(world, { limits })
      for (let crashes = 0; monitor.status.state !== 'following'; crashes++) {
        if (crashes > 0) monitor = await follower(world, { limits })
        await monitor.round(RUNNING).catch((error: unknown) => {
          expect(String(error)).toBe('Error: killed')
        })
        expect(crashes).toBeLessThan(100)
      }
      expect(pass).toBeGreaterThan(4)
      expect(monitor.status).toMatchObject({ size: log.size, backlog: 0, detail: undefined })

      // The same log on the same server goes back, and stays there, which is kept once.
      const seen = log.sign(past.trees.at(-2))
      await monitor.round(RUNNING)
      expect(await evidenceAfter(here.db, 0, 10)).toEqual([])
      clock.advance(600_000)
      await monitor.round(RUNNING)
      await monitor.round(RUNNING)
      const [piece, ...more] = await evidenceAfter(here.db, 0, 10)
      expect(more).toEqual([])
      expect(piece).toMatchObject({ id: 1, kind: 'rollback', found_at: clock.now() })
      expect(piece!.evidence).toContain(JSON.stringify(seen))
      expect(await findingsOf(here.db, log.origin)).toEqual(new Map([['rollback', 1]]))
    } finally {
      off()
      await served.close()
      await here.close()
    }
  },
)
