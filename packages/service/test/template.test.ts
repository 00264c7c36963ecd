import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { afterAll, describe, expect, it } from 'vitest'
import { makeTemplate, templatePath, unpackTemplate } from '@dslog/service/template'

const folder = mkdtempSync(join(tmpdir(), 'dslog-template-'))

afterAll(() => rmSync(folder, { recursive: true }))

describe('the template', () => {
  it('is made once for a version of PGlite', async () => {
    const path = templatePath()
    expect(path).toMatch(/\/dist\/pglite-\d+\.\d+\.\d+\.gz$/)
    const { mtimeMs } = statSync(path)
    await makeTemplate()
    expect(statSync(path).mtimeMs).toBe(mtimeMs)
  })

  it('is laid out whole, for its owner alone', async () => {
    const data = join(folder, 'whole')
    expect(await unpackTemplate(templatePath(), data)).toBe(true)
    expect(readFileSync(join(data, 'PG_VERSION'), 'utf8')).toBe('18\n')
    // Folders that hold nothing yet: PostgreSQL does not start without them.
    for (const empty of ['pg_notify', 'pg_twophase', 'pg_wal/archive_status']) {
      expect(readdirSync(join(data, empty)), empty).toEqual([])
    }
    const entries = readdirSync(data, { recursive: true, withFileTypes: true })
    const files = entries.filter((entry) => entry.isFile())
    expect(files.length).toBeGreaterThan(900)
    let bytes = 0
    for (const { name, parentPath } of files) {
      const { mode, size } = statSync(join(parentPath, name))
      expect(mode & 0o777, name).toBe(0o600)
      bytes += size
    }
    const packed = gunzipSync(readFileSync(templatePath()))
    expect(4 + packed.readUInt32BE(0) + bytes).toBe(packed.length)
  })

  it('is not used when it is missing or damaged', async () => {
    const good = readFileSync(templatePath())
    const flipped = Buffer.from(good)
    flipped[good.length >> 1]! ^= 1
    const damaged = [Buffer.alloc(0), good.subarray(0, -1), flipped, Buffer.from('junk')]
    const data = join(folder, 'damaged')
    const file = join(folder, 'file.gz')
    expect(await unpackTemplate(file, data)).toBe(false)
    for (const bytes of damaged) {
      await writeFile(file, bytes)
      expect(await unpackTemplate(file, data)).toBe(false)
      expect(existsSync(data)).toBe(false)
    }
  })

  it('says why its files cannot be written', async () => {
    const data = join(folder, 'no', 'such', 'folder')
    await expect(unpackTemplate(templatePath(), data)).rejects.toMatchObject({ code: 'ENOENT' })
  })
})
