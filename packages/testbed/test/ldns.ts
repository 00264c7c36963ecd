/** `ldns-verify-zone`, a judge who knows nothing of this code: whether it is there, and what it says. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { nameToText } from '@dslog/dnssec/name'
import { rdataToText } from '@dslog/dnssec/rdata'
import { TYPE } from '@dslog/dnssec/records'
import type { ZoneKey } from '../src/key.ts'
import { isInstalled } from '../src/program.ts'
import type { Zone } from '../src/zone.ts'

/** Whether the tool is installed; tests that need it are skipped otherwise. */
export const installed: boolean = isInstalled('ldns-verify-zone')

/**
 * Whether ldns finds the zone complete and rightly signed at `at` (ms since the epoch), its keys
 * hanging from `anchor`.
 */
export function accepts(zone: Zone, anchor: ZoneKey, at: number): boolean {
  const folder = mkdtempSync(join(tmpdir(), 'dslog-ldns-'))
  try {
    const key = `${nameToText(zone.origin)} 3600 IN DNSKEY ${rdataToText(TYPE.DNSKEY, anchor.rdata)}\n`
    writeFileSync(join(folder, 'key'), key)
    writeFileSync(join(folder, 'zone'), zone.toText())
    const time = new Date(at).toISOString().replaceAll(/[-:T]/g, '').slice(0, 14)
    const files = ['-k', join(folder, 'key'), '-t', time, join(folder, 'zone')]
    const said = execFileSync('ldns-verify-zone', files, { encoding: 'utf8', stdio: 'pipe' })
    return said.includes('Zone is verified and complete')
  } catch (error) {
    // It says why on standard error, and ends with a status that is not zero.
    const isVerdict = error instanceof Error && 'status' in error && error.status !== null
    if (!isVerdict) throw error
    return false
  } finally {
    rmSync(folder, { recursive: true })
  }
}
