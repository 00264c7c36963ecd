/** A thread that verifies signatures (threaded.ts). */
import { parentPort } from 'node:worker_threads'
import { nodeBackend } from '@dslog/dnssec/backend/node'
import { decodeSignatures, type FromVerifier, type ToVerifier } from './threaded-protocol.ts'

const port = parentPort!
const backend = nodeBackend({ here: true })

port.on('message', ({ job, signatures }: ToVerifier) => void verify(job, signatures))

async function verify(job: number, signatures: Uint8Array): Promise<void> {
  const valid: boolean[] = []
  for (const { algorithm, publicKey, data, signature } of decodeSignatures(signatures)) {
    valid.push(await backend.verify(algorithm, publicKey, data, signature))
  }
  const message: FromVerifier = { job, valid }
  port.postMessage(message)
}
