/** Verifies a proof file, offline: `node verify-proof.ts POLICY PROOF [ANCHORS]`. Throws if it proves nothing. */
import { readFile } from 'node:fs/promises'
import { parsePolicy } from '@dslog/tlog/policy'
import { parseAnchors, ROOT_ANCHORS } from '@dslog/dnssec/anchors'
import { nodeBackend } from '@dslog/dnssec/backend/node'
import { entryObject, treeText } from '@dslog/verify/describe'
import { verifyProofFile } from '@dslog/verify/verify'

const [policyFile = '', proofFile = '', anchorsFile] = process.argv.slice(2)
const policy = parsePolicy(await readFile(policyFile))
const own = anchorsFile === undefined ? undefined : await readFile(anchorsFile, 'utf8')
const anchors = own === undefined ? ROOT_ANCHORS : parseAnchors(own)
const verifier = { policy, anchors, backend: nodeBackend(), now: Date.now() }
const report = await verifyProofFile(await readFile(proofFile), verifier)
const entries = report.kind === 'name' ? report.history : [report]
for (const entry of entries) console.log(JSON.stringify(entryObject(entry)))
console.log(`proven in ${treeText(report.trusted)}`)
