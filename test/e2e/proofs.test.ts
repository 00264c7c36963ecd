/**
 * Proof files that `dslog prove` writes, with any byte of them changed: refused, or another claim, never the
 * same one. In every way of changing a file: test/verify/mangling.test.ts.
 */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parsePolicy } from '@dslog/tlog/policy'
import { parseAnchors, ROOT_ANCHORS } from '@dslog/dnssec/anchors'
import { nodeBackend } from '@dslog/dnssec/backend/node'
import { installNodeCrypto } from '@dslog/service/crypto'
import type { ProofVerifier } from '@dslog/verify/verify'
import { claimOf } from '../claim.ts'
import { dslog, Folders, HAS_DATA, Up } from './dslog.ts'
import { Registry } from './registry.ts'
import { ROOT_ZONES } from './root-zones.ts'

installNodeCrypto()

const folders = new Folders()
afterAll(() => folders.remove())

interface Proofs {
  readonly folder: string
  readonly args: readonly string[]
  readonly files: readonly (readonly [string, Uint8Array])[]
}

/** Proofs of a log of some zone files, by name or index. */
async function proofsOf(
  zones: readonly string[],
  args: readonly string[],
  of: readonly string[],
): Promise<Proofs> {
  const folder = folders.make()
  const service = await Up.start(folder, [...args, '--zone-file', ...zones])
  const files: [string, Uint8Array][] = []
  try {
    for (const what of of) {
      const { bytes, code } = await dslog(['prove', what, '-o', '-', '--data', folder, ...args])
      if (code !== 0) throw new Error(`no proof of ${what}`)
      files.push([what, bytes])
    }
  } finally {
    await service.stop()
  }
  return { folder, args, files }
}

async function expectNoForgery({ args, files, folder }: Proofs, anchors: string | undefined) {
  const verifier: ProofVerifier = {
    policy: parsePolicy(await readFile(join(folder, 'policy'))),
    anchors: anchors === undefined ? ROOT_ANCHORS : parseAnchors(await readFile(anchors, 'utf8')),
    backend: nodeBackend(),
  }
  for (const [what, file] of files) {
    const original = await claimOf(file, verifier)
    expect(original).toBeDefined()
    for (const at of file.keys()) {
      const changed = file.with(at, file[at]! ^ (at % 2 === 0 ? 0x01 : 0x20))
      const claimed = await claimOf(changed, verifier)
      expect({ what, at, claimed }).not.toMatchObject({ claimed: original })
    }
    // And as the program says it, for some bytes of all parts of the file.
    const path = folders.file('changed')
    const verify = () => dslog(['verify', '--json', path, '--data', folder, ...args])
    await writeFile(path, file)
    const { code, events } = await verify()
    expect(code).toBe(0)
    for (const part of [0.05, 0.4, 0.97]) {
      const at = Math.floor(file.length * part)
      await writeFile(path, file.with(at, file[at]! ^ 1))
      const called = await verify()
      expect(called.events).not.toEqual(events)
      if (called.events.length > 0) continue
      expect(called).toMatchObject({ code: 1, stdout: '' })
      expect(called.stderr).toMatch(/^dslog: [^\n]+\n$/)
    }
  }
}

describe('of a registry of our own', () => {
  let proofs: Proofs
  let registry: Registry

  beforeAll(async () => {
    registry = new Registry(folders.make())
    registry.set('here', 1)
    const zones = [registry.rootFile(), registry.zoneFile()]
    const args = ['--anchors', registry.anchors]
    proofs = await proofsOf(zones, args, ['here.test.', 'gone.test.', '0', '3'])
  })

  it('none can be forged', () => expectNoForgery(proofs, registry.anchors))
})

describe.skipIf(!HAS_DATA)('of a root zone', () => {
  let proofs: Proofs

  beforeAll(async () => {
    proofs = await proofsOf([ROOT_ZONES[0]!], [], ['fi.', 'never-there.', '9'])
  })

  it('none can be forged', () => expectNoForgery(proofs, undefined))
})
