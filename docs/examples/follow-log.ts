/** Follows a log: `node follow-log.ts URL POLICY [SECONDS]`. Throws the evidence if it takes anything back. */
import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { LogClient } from '@dslog/tlog/client'
import { HttpClient } from '@dslog/tlog/http'
import { LateError } from '@dslog/tlog/late'
import { parsePolicy } from '@dslog/tlog/policy'
import { decodeEntry } from '@dslog/schema/entry'

const [url = '', policyFile = '', seconds = '10'] = process.argv.slice(2)
const http = new HttpClient({ fetch, now: Date.now, random: Math.random })
const client = new LogClient(url, parsePolicy(await readFile(policyFile)), http)

let tree = await client.checkpoint()
for (let next = 0; ;) {
  const { size } = tree.checkpoint
  for await (const { index, entry } of client.entries(next, size, tree)) {
    console.log(index, decodeEntry(entry).type)
  }
  next = size
  await sleep(Number(seconds) * 1000)
  try {
    tree = await client.follow(tree)
  } catch (error) {
    // An older copy, as a cache may serve it: we look again.
    if (!(error instanceof LateError)) throw error
  }
}
