/** The demo, as anybody runs it: it fails if a step does not come out as told, so it is a test itself. */
import { existsSync } from 'node:fs'
import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { dslog, type Event, Folders } from './dslog.ts'

const folders = new Folders()
afterAll(() => folders.remove())

describe('dslog demo --once', () => {
  it('tells of a baseline, a quiet roll, a swap with an alarm, and a fork that is caught', async () => {
    const data = folders.make()
    const called = await dslog(['demo', '--once', '--json', '--data', data])
    expect(called.stderr).not.toMatch(/dslog: /)
    expect(called.code).toBe(0)
    const { events } = called
    const of = (event: string): Event[] => events.filter((each) => each['event'] === event)
    expect(of('step').map(({ ok, step }) => [step, ok])).toEqual([
      ['baseline', true],
      ['roll', true],
      ['swap', true],
      ['fork', true],
    ])

    // Four names, the two steps of the roll, the swap.
    const logged = of('logged').map(({ name }) => name)
    expect(logged.filter((name) => name === 'bank.example.')).toHaveLength(4)
    expect(logged).toHaveLength(7)
    expect(of('judged')).toMatchObject([
      { rule: 'R5', level: 'INFO' },
      { rule: 'R9', level: 'INFO' },
    ])
    expect(of('quiet')).toMatchObject([{ step: 'roll', mails: 0 }])
    const { index } = of('verified')[0] as { index: number }
    expect(of('alert')).toMatchObject([
      { step: 'swap', rule: 'R6', level: 'CRITICAL', to: 'dns@bank-operations.example' },
    ])
    expect(of('logged').at(-1)).toMatchObject({ step: 'swap', index })
    const [caught] = of('caught') as unknown as [{ kind: string; notes: string[] }]
    expect(caught).toMatchObject({ kind: 'fork' })
    // Both under the name of the log, and not the same.
    expect(new Set(caught.notes)).toHaveLength(2)
    for (const note of caught.notes) expect(note).toMatch(/^log\.demo\.example\n/)
    expect(of('ready')).toMatchObject([{ ok: true, data }])

    // What was mailed verifies afterwards, with nothing running.
    expect(existsSync(join(data, 'service.json'))).toBe(false)
    const mail = join(data, 'mail')
    const [proof] = await readdir(mail)
    const trust = ['--policy', join(data, 'policy'), '--anchors', join(data, 'anchors')]
    const verified = await dslog(['verify', '--json', join(mail, proof!), ...trust])
    expect(verified).toMatchObject({ code: 0, events: [{ kind: 'entry', index }] })
    // But not under the real root's keys.
    const real = await dslog(['verify', join(mail, proof!), '--policy', join(data, 'policy')])
    expect(real.code).toBe(1)
  })
})

describe('a folder that has something in it', () => {
  it('is left alone', async () => {
    const data = folders.make()
    await mkdir(data)
    await writeFile(join(data, 'log.key'), 'somebody else’s')
    const called = await dslog(['demo', '--once', '--data', data])
    expect(called).toMatchObject({ code: 2, stdout: '' })
    expect(called.stderr).toBe(`dslog: ${data} is not empty: the demo makes a log of its own\n`)
    expect(await readdir(data)).toEqual(['log.key'])
  })
})
