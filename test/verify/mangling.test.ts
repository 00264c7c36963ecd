/** Proof files with any byte or line changed: refused, and never the same claim. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { utf8 } from '@dslog/tlog/bytes'
import { backend as tlogBackend, setBackend } from '@dslog/tlog/backend'
import { MapKind } from '@dslog/schema/identity'
import type { ProofVerifier } from '@dslog/verify/verify'
import { nameFromText } from '@dslog/dnssec/name'
import { claimOf } from '../claim.ts'
import {
  LOG_KEY,
  POLICY,
  type PublishedLog,
  rememberNotes,
  STRANGER,
  WITNESS,
} from './published.ts'
import { NOBODY, stage, VERIFIER, VICTIM } from './stage.ts'

const VERIFY: ProofVerifier = { ...VERIFIER, policy: POLICY }
const noble = tlogBackend()
let published: PublishedLog

beforeAll(async () => {
  rememberNotes()
  published = (await stage()).published
})
afterAll(() => setBackend(noble))

const claim = (file: string | Uint8Array): Promise<string | undefined> => claimOf(file, VERIFY)

/** Proof files of every kind. */
const FILES: readonly (readonly [string, () => Promise<string>])[] = [
  ['a DS', () => published.entryFile(3)],
  ['a removal', () => published.entryFile(15)],
  ['keys of a zone', () => published.entryFile(9)],
  ['keys of the root', () => published.entryFile(1)],
  ['a MAP_HEAD', () => published.entryFile(7)],
  ['a name', () => published.nameFile(MapKind.delegation, VICTIM)],
  ['a name never logged', () => published.nameFile(MapKind.delegation, NOBODY)],
  ['a zone', () => published.nameFile(MapKind.zoneKeys, nameFromText('com.'))],
]

/** Where the signature lines that the policy does not need begin and end. */
function spareLines(file: string): { from: number; to: number } {
  const bytes = (text: string): number => utf8(text).length
  const at = file.indexOf(`— ${STRANGER.name} `)
  return { from: bytes(file.slice(0, at)), to: bytes(file.slice(0, file.indexOf('\n', at))) }
}

describe.each(FILES)('the proof of %s', (what, make) => {
  const absent = what === 'a name never logged'

  test('is refused with any byte changed, but in a signature that nobody asked for', async () => {
    const file = await make()
    const bytes = utf8(file)
    const original = await claim(file)
    expect(original).toBeDefined()
    const spare = spareLines(file)
    for (const at of bytes.keys()) {
      for (const change of [0x01, 0x20, 0x80]) {
        const changed = bytes.with(at, bytes[at]! ^ change)
        const claimed = await claim(changed)
        const isSpare = at >= spare.from && at < spare.to
        // There it may be accepted, and says the same: the line is of no authority.
        if (isSpare && claimed !== undefined) expect(claimed).toBe(original)
        // What proves that one name is not there may prove it of another, and then says so.
        else if (absent && claimed !== undefined) expect(claimed).not.toBe(original)
        else expect({ at, change, claimed }).toEqual({ at, change, claimed: undefined })
      }
    }
  })

  test('is refused with any line left out, twice, or in another place', async () => {
    const file = await make()
    const original = await claim(file)
    const lines = file.split('\n')
    const signatures = lines.findIndex((line) => line.startsWith('— '))
    const isSignature = (i: number): boolean => i >= signatures && lines[i] !== ''
    const spare = lines.findIndex((line) => line.startsWith(`— ${STRANGER.name} `))
    expect(lines.length - signatures).toBe(4)
    for (const [i, line] of lines.entries()) {
      const without = await claim(lines.toSpliced(i, 1).join('\n'))
      expect({ i, without }).toEqual({ i, without: i === spare ? original : undefined })
      // Signatures are a set: their order and their number are of no meaning.
      const twice = await claim(lines.toSpliced(i, 0, line).join('\n'))
      if (!isSignature(i)) expect({ i, twice }).toEqual({ i, twice: undefined })
      else if (twice !== undefined) expect(twice).toBe(original)
      for (let j = 0; j < i; j++) {
        if (lines[j] === line) continue
        const swapped = await claim(lines.with(i, lines[j]!).with(j, line).join('\n'))
        if (!isSignature(i) || !isSignature(j)) {
          expect({ i, j, swapped }).toEqual({ i, j, swapped: undefined })
        } else {
          expect(swapped).toBe(original)
        }
      }
    }
  })

  test('is refused cut off anywhere, or with anything behind', async () => {
    const file = await make()
    const original = await claim(file)
    const bytes = utf8(file)
    const { from } = spareLines(file)
    for (let end = 0; end < bytes.length; end++) {
      const claimed = await claim(bytes.subarray(0, end))
      // The signature that nobody asked for is the last line.
      if (end === from) expect(claimed).toBe(original)
      else expect({ end, claimed }).toEqual({ end, claimed: undefined })
    }
    for (const more of ['\n', ' ', 'x', '\0', '\r\n', '— x AAAAAAAA', '\n\n']) {
      expect(await claim(file + more)).toBeUndefined()
      expect(await claim(more + file)).toBeUndefined()
    }
  })

  test('is refused with other line ends, and read as bytes or text', async () => {
    const file = await make()
    expect(await claim(file.replaceAll('\n', '\r\n'))).toBeUndefined()
    expect(await claim(`\uFEFF${file}`)).toBeUndefined()
    expect(await claim(file.replace('index ', 'index 0'))).toBeUndefined()
    expect(await claim(file.replace('index ', 'index +'))).toBeUndefined()
    expect(await claim(utf8(file))).toBe(await claim(file))
    expect([LOG_KEY, WITNESS].every((key) => file.includes(`— ${key.name} `))).toBe(true)
  })
})
