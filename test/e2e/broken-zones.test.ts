/** Zones that are not what they should be: a clear error, exit code 1, and a log that did not change. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync, gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { dslog, type Event, Folders, HAS_DATA, shared, Up } from './dslog.ts'
import { Registry } from './registry.ts'
import { ROOT_ZONES } from './root-zones.ts'

const folders = new Folders()
afterAll(() => folders.remove())

/** A running log with something in it. */
interface Here {
  readonly service: Up
  readonly args: readonly string[]
}

/** What was signed last. */
async function standing({ service }: Here): Promise<unknown> {
  const { root, size } = await service.get<Event>(`${service.log}/v1/checkpoint`)
  return { root, size }
}

async function serve(files: readonly string[], ...args: string[]): Promise<Here> {
  const data = folders.make()
  const service = await Up.start(data, [...args, '--zone-file', ...files])
  return { service, args: ['--data', data, ...args] }
}

async function expectRefused(here: Here, file: string, message: RegExp, ...args: string[]) {
  const before = await standing(here)
  const called = await dslog(['import', '--json', ...here.args, ...args, file])
  expect(called.events).toEqual([])
  expect(called.stderr).toMatch(/^dslog: [^\n]+\n$/)
  // It names the file, and what is wrong with it.
  expect(called.stderr).toContain(`${file}: `)
  expect(called.stderr).toMatch(message)
  expect(called.code).toBe(1)
  expect(await standing(here)).toEqual(before)
}

describe('a zone of our own', () => {
  let registry: Registry
  let here: Here
  let good: string

  beforeAll(async () => {
    registry = new Registry(folders.make())
    for (let i = 0; i < 20; i++) registry.set(`name-${i}`, 1)
    const files = [registry.rootFile(), registry.zoneFile()]
    here = await serve(files, '--anchors', registry.anchors)
    registry.sleep()
    registry.set('name-3', 2)
    good = readFileSync(registry.zoneFile(), 'utf8')
  })
  afterAll(() => here.service.kill())

  const changed = (change: (lines: string[]) => string[]) =>
    registry.write('broken', change(good.split('\n')).join('\n'))
  const has = (...words: string[]) => {
    return (line: string) => words.every((word) => line.split('\t').includes(word))
  }

  it('that is none', async () => {
    const page = registry.write('page', '<html><body>503 Service Unavailable</body></html>\n')
    await expectRefused(here, page, /line 1/)
  })

  it('that is empty', async () => {
    await expectRefused(here, registry.write('empty', ''), /no SOA/)
  })

  it('cut off between two lines', async () => {
    const file = changed((lines) => lines.slice(0, Math.floor(lines.length / 2)))
    await expectRefused(here, file, /NSEC|missing|not signed/)
  })

  it('cut off within a line', async () => {
    await expectRefused(here, registry.write('cut', good.slice(0, -40)), /line \d+|RRSIG|signature/)
  })

  it('in a gzip file that is cut off', async () => {
    const packed = gzipSync(good)
    const file = registry.write('cut', packed.subarray(0, packed.length - 100))
    await expectRefused(here, file, /gzip|cut|unexpected end|truncated/i)
  })

  it('checked before it was signed, and after its signatures have expired', async () => {
    const file = registry.write('good', good)
    await expectRefused(here, file, /not valid yet|not yet/, '--at', '2020-01-01')
    await expectRefused(here, file, /expired/, '--at', '2036-01-01')
  })

  it('with one digit of a DS changed', async () => {
    const file = changed((lines) => {
      const at = lines.findIndex(has('name-3.test.', 'DS'))
      const line = lines[at]!
      const digit = line.at(-1) === '0' ? '1' : '0'
      return lines.with(at, line.slice(0, -1) + digit)
    })
    await expectRefused(here, file, /name-3\.test\. DS/)
  })

  it('with a DS left out', async () => {
    const file = changed((lines) => lines.filter((line) => !has('name-3.test.', 'DS')(line)))
    await expectRefused(here, file, /name-3\.test\./)
  })

  it('with an NSEC record left out', async () => {
    const file = changed((lines) => lines.filter((line) => !has('name-7.test.', 'NSEC')(line)))
    await expectRefused(here, file, /name-7\.test\./)
  })

  it('with a signature left out', async () => {
    const file = changed((lines) =>
      lines.filter((line) => !/^name-5\.test\.\t\d+\tIN\tRRSIG\tDS /.test(line)),
    )
    await expectRefused(here, file, /name-5\.test\. DS/)
  })

  it('with a name slipped in', async () => {
    const file = changed((lines) => [...lines, 'evil.test.\t3600\tIN\tNS\tns.evil.test.', ''])
    await expectRefused(here, file, /evil\.test\./)
  })

  it('signed by somebody else', async () => {
    const other = new Registry(folders.make())
    other.zone().setKeys([other.zone().makeKey(257, 13, 9)])
    other.set('name-1', 1)
    await expectRefused(here, other.zoneFile(), /no usable DS names a key of test\./)
  })

  it('under a zone that the log does not know', async () => {
    const file = registry.write('other', good.replaceAll('test.', 'else.'))
    await expectRefused(here, file, /the log holds no DS of else\.: import the zone above it first/)
  })

  it('said to be another', async () => {
    const file = registry.write('good', good)
    await expectRefused(here, file, /test\.|outside/, '--zone', '.')
  })

  it('keeps the good ones before it', async () => {
    const file = registry.write('good', good)
    const broken = changed((lines) => lines.slice(0, 10))
    const called = await dslog(['import', '--json', ...here.args, file, broken])
    expect(called.code).toBe(1)
    expect(called.stderr).toContain(`${broken}: `)
    expect(called.events).toMatchObject([{ event: 'change', name: 'name-3.test.', file }])
    const again = await dslog(['import', '--json', ...here.args, file])
    expect(again).toMatchObject({ code: 0, events: [{ event: 'summary', entries: 0 }] })
  })

  it('adds nothing to a folder either, fresh or not', async () => {
    const data = folders.make()
    const args = ['--data', data, '--anchors', registry.anchors]
    const signed = () => JSON.parse(readFileSync(join(data, 'signer.json'), 'utf8')) as Event
    const broken = changed((lines) => lines.slice(0, 10))
    expect(await dslog(['import', ...args, broken])).toMatchObject({ code: 1, stdout: '' })
    expect(existsSync(data)).toBe(false)
    expect(await dslog(['import', ...args, registry.rootFile()])).toMatchObject({ code: 0 })
    const before = signed()
    expect(await dslog(['import', ...args, broken])).toMatchObject({ code: 1, stdout: '' })
    expect(signed()).toEqual(before)
  })

  it('ends `up --zone-file`, which serves nothing', async () => {
    const data = folders.make()
    const broken = changed((lines) => lines.slice(0, 10))
    const start = Up.start(data, ['--anchors', registry.anchors, '--zone-file', broken])
    await expect(start).rejects.toThrow(/dslog up ended with code 1: dslog: .*broken/)
    expect(() => readFileSync(join(data, 'service.json'))).toThrow('ENOENT')
  })
})

describe.skipIf(!HAS_DATA)('a root zone', () => {
  const [first = '', second = ''] = ROOT_ZONES
  let here: Here
  let text: string

  beforeAll(async () => {
    here = await serve([first])
    text = gunzipSync(readFileSync(second)).toString()
  })
  afterAll(() => here.service.kill())

  function written(content: string | Uint8Array): string {
    const path = folders.file('zone')
    writeFileSync(path, content)
    return path
  }

  it('that is what the publisher of gov served one day', async () => {
    await expectRefused(here, shared('gov/gov-2026-07-27-broken.txt'), /line 1/)
  })

  it('cut off, plain and packed', async () => {
    const half = Math.floor(text.length / 2)
    await expectRefused(here, written(text.slice(0, half)), /line \d+|NSEC|missing/)
    const packed = readFileSync(second)
    const file = written(packed.subarray(0, Math.floor(packed.length / 2)))
    await expectRefused(here, file, /gzip|unexpected end|truncated|line \d+/i)
  })

  it('at another time than its own', async () => {
    await expectRefused(here, second, /expired/, '--at', '2018-01-01')
    await expectRefused(here, second, /not valid yet|not yet/, '--at', '2017-01-01')
  })

  it('with one DS digit changed', async () => {
    const at = /\sIN\s+DS\s.*([0-9A-F])$/m.exec(text)!
    const end = at.index + at[0].length
    const digit = at[1] === '0' ? '1' : '0'
    const file = written(text.slice(0, end - 1) + digit + text.slice(end))
    await expectRefused(here, file, /: [a-z0-9-]+\. DS: /)
  })

  it('with an NSEC record left out', async () => {
    const file = written(text.replace(/^fi\.\s.*\sNSEC\s.*\n/m, ''))
    await expectRefused(here, file, /fi\./)
  })
})
