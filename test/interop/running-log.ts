/**
 * The real log service, over HTTP, on the embedded database: filled from a small signed internet in several
 * trees, so that there are full tiles, partial ones, and sizes between them.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { formatSkey, formatVkey } from '@dslog/tlog/key'
import { formatAnchors } from '@dslog/dnssec/anchors'
import { ALGORITHM } from '@dslog/dnssec/backend/backend'
import { type Name, nameFromText } from '@dslog/dnssec/name'
import { HOUR } from '@dslog/schema/time'
import { Internet } from '@dslog/testbed/internet'
import { ownerDs } from '@dslog/testbed/stories'
import { startLogService } from '../logservice.ts'
import { keyOf } from '../place.ts'
import { observe } from '../testlog.ts'
import type { RunningLog } from './static-log.ts'

/** Names in each tree: bundles are crossed within a tree and between trees. */
const TREES = [1, 5, 250, 40, 300]

function namesOf(tree: number, count: number): Name[] {
  return Array.from({ length: count }, (_, i) => nameFromText(`name${i}-${tree}.test.`))
}

/**
 * Starts a log service with some 600 entries.
 *
 * @param trees names in each tree
 * @returns the log, and the file of the trust anchors of what it holds
 */
export async function startLog(
  trees: readonly number[] = TREES,
): Promise<RunningLog & { readonly anchors: string }> {
  const folder = mkdtempSync(join(tmpdir(), 'dslog-interop-'))
  const algorithm = ALGORITHM.ED25519
  const net = new Internet({ root: { algorithm } })
  const zone = net.addZone('test.', { algorithm })
  const anchors = join(folder, 'anchors')
  writeFileSync(anchors, formatAnchors(net.anchors))
  const key = keyOf()
  const env = {
    DSLOG_DATA: folder,
    DSLOG_ANCHORS: anchors,
    DSLOG_LOG_KEY: formatSkey(key),
    DSLOG_LOG_PUBLISH_INTERVAL: '10ms',
  }
  const { life, opened, url } = await startLogService(env, net.clock.now)
  const close = async (): Promise<void> => {
    await life.stop()
    rmSync(folder, { recursive: true, force: true })
  }
  try {
    for (const [tree, count] of trees.entries()) {
      const owners = namesOf(tree, count)
      for (const owner of owners) zone.delegate(owner, [ownerDs(owner)])
      net.clock.advance(HOUR)
      const results = await opened.admitter.submit(owners.map((o) => observe(net, o)))
      const refused = results.find(({ status }) => status !== 'logged')
      if (refused !== undefined) throw new Error(`${refused.status}: ${refused.detail ?? ''}`)
    }
  } catch (error) {
    await close()
    throw error
  }
  return { url, vkey: formatVkey(key), anchors, close }
}
