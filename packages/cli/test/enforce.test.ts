import { Socket } from 'node:dgram'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { utf8 } from '@dslog/tlog/bytes'
import { sha256 } from '@dslog/tlog/hash'
import { parseMessage } from '@dslog/dnssec/message'
import { nameFromText } from '@dslog/dnssec/name'
import { TYPE } from '@dslog/dnssec/records'
import { DAY, HOUR } from '@dslog/schema/time'
import { encodeQuery } from '@dslog/testbed/asker'
import { randomIntFrom } from '@dslog/testbed/random'
import type { Cut } from '../src/enforce/cuts.ts'
import { Enforcer, type EnforcePolicy, type Finding } from '../src/enforce/enforcer.ts'
import { EnforceError } from '../src/enforce/error.ts'
import { standingOf } from '../src/enforce/judge.ts'
import { Forwarder } from '../src/enforce/forwarder.ts'
import type { KnownState } from '../src/enforce/known.ts'
import { EDE, type Query, readQuery, refuse, servfail } from '../src/enforce/query.ts'
import type { Upstream } from '../src/enforce/upstream.ts'
import { dslog } from './io.ts'

const A = sha256(utf8('a'))
const B = sha256(utf8('b'))
const ABSENT = sha256(utf8('absent'))

/** An entry at an hour of the day. */
function entry(index: number, hour: number, id: typeof A, outOfOrder = false): KnownState {
  const time = hour * HOUR
  const present = id !== ABSENT
  const state = { stateId: id, present, index, time, outOfOrder, historical: false, ds: [] }
  return { ...state, orderKey: time / 1000 }
}

const seen = (id: typeof A) => ({ stateId: id, present: id !== ABSENT })

describe('a state is known', () => {
  const history = [entry(1, 0, A), entry(2, 100, B)]
  const at = (hour: number, id: typeof A, entries = history) =>
    standingOf(entries, seen(id), hour * HOUR, DAY)

  it('while it is in force, and a grace time longer', () => {
    expect(at(500, B)).toBe('logged')
    expect(at(100, A)).toBe('logged')
    expect(at(123.9, A)).toBe('logged')
    expect(at(124, A)).toBe('replaced')
  })

  it('not because there is one', () => {
    expect(at(500, sha256(utf8('c')))).toBe('unlogged')
    expect(at(500, A, [])).toBe('unlogged')
  })

  it('and absence is one: that of a name never logged, and of one that has no DS any more', () => {
    expect(at(500, ABSENT, [])).toBe('logged')
    expect(at(500, ABSENT)).toBe('unlogged')
    expect(at(1, ABSENT)).toBe('logged')
    expect(at(500, ABSENT, [...history, entry(3, 200, ABSENT)])).toBe('logged')
    expect(at(500, B, [...history, entry(3, 200, ABSENT)])).toBe('replaced')
    // Whichever zone proves it.
    const other = entry(3, 200, ABSENT)
    expect(at(500, ABSENT, [...history, { ...other, stateId: A }])).toBe('logged')
  })

  it('but for one that came out of order: it never was in force', () => {
    const late = [entry(1, 0, A), entry(2, 100, B, true)]
    expect(at(500, B, late)).toBe('replaced')
    expect(at(101, B, late)).toBe('replaced')
    expect(at(500, A, late)).toBe('logged')
  })
})

describe('an answer', () => {
  const owner = nameFromText('example.fi.')
  const DS = Uint8Array.of(0, 1, 13, 2, ...sha256(utf8('key')))
  const cut = (ds: readonly Uint8Array[]): Cut => {
    return { owner, zone: nameFromText('fi.'), ds, isEnd: false }
  }

  /** An enforcer of what the two edges say. */
  function enforcer(
    cuts: () => readonly Cut[],
    known: () => readonly KnownState[],
    policy: Partial<EnforcePolicy> = {},
    waiting: { key: string; at: number }[] = [],
  ) {
    const findings: Finding[] = []
    const first: { key: string; at: number }[] = []
    let now = 1000 * DAY
    const enforcer = new Enforcer({
      cuts: { above: async () => [...cuts()] },
      known: { history: async () => known() },
      policy: { grace: DAY, reportOnly: false, strict: false, ...policy },
      now: () => now,
      report: (finding) => findings.push(finding),
      waiting,
      onFirstSeen: (seen) => first.push(seen),
    })
    const check = () => enforcer.check([nameFromText('www.example.fi.')])
    return { check, findings, first, go: (ms: number) => (now += ms) }
  }

  it('passes, silently, where there is nothing to enforce', async () => {
    const { check, findings } = enforcer(
      () => [],
      () => [],
    )
    expect(await check()).toBeUndefined()
    expect(findings).toEqual([])
  })

  it('waits a grace time, counted from when the state was first seen', async () => {
    const { check, findings, first, go } = enforcer(
      () => [cut([DS])],
      () => [],
    )
    expect(await check()).toBeUndefined()
    go(DAY - 1)
    expect(await check()).toBeUndefined()
    go(1)
    expect(await check()).toMatchObject({ infoCode: EDE.blocked })
    const actions = findings.map(({ action }) => action)
    // An hour is over, so the first is told again.
    expect(actions).toEqual(['passed', 'passed', 'blocked'])
    expect(first).toHaveLength(1)
    // Restarted, it does not wait anew.
    const again = enforcer(
      () => [cut([DS])],
      () => [],
      {},
      first,
    )
    again.go(DAY)
    expect(await again.check()).toBeDefined()
    expect(again.first).toEqual([])
  })

  it('is reported once in a while, not once a question', async () => {
    const { check, findings } = enforcer(
      () => [cut([DS])],
      () => [],
      { grace: 0 },
    )
    for (let i = 0; i < 100; i++) expect(await check()).toBeDefined()
    expect(findings).toHaveLength(1)
    expect(findings[0]).toMatchObject({ name: 'example.fi.', zone: 'fi.', logged: [] })
  })

  it('is only reported in report mode', async () => {
    const policy = { grace: 0, reportOnly: true, strict: true }
    const { check, findings } = enforcer(
      () => [cut([DS])],
      () => [],
      policy,
    )
    expect(await check()).toBeUndefined()
    expect(findings).toMatchObject([{ action: 'passed', because: 'report-mode' }])
    const down = enforcer(
      () => [cut([DS])],
      () => {
        throw new EnforceError('log', 'down')
      },
      policy,
    )
    expect(await down.check()).toBeUndefined()
    expect(down.findings).toMatchObject([{ event: 'unknown', action: 'passed' }])
  })

  it.each(['log', 'misbehaviour', 'upstream', 'not-validated'] as const)(
    'about which nothing is known (%s) passes, unless strict',
    async (code) => {
      const throws = () => {
        throw new EnforceError(code, 'why')
      }
      const lax = enforcer(() => [cut([DS])], throws)
      expect(await lax.check()).toBeUndefined()
      expect(lax.findings).toMatchObject([{ event: 'unknown', action: 'passed', code }])
      const strict = enforcer(throws, () => [], { strict: true })
      expect(await strict.check()).toMatchObject({ infoCode: EDE.networkError })
      expect(strict.findings).toMatchObject([{ action: 'blocked', detail: 'why' }])
    },
  )

  it('about the host of the log passes: else nothing could ever be found out', async () => {
    const { check } = enforcer(
      () => [cut([DS])],
      () => [],
      { grace: 0, strict: true, exempt: nameFromText('www.example.fi.') },
    )
    expect(await check()).toBeUndefined()
  })

  it('does not hide a fault of ours', async () => {
    const { check } = enforcer(
      () => [cut([DS])],
      () => {
        throw new TypeError('a bug')
      },
    )
    await expect(check()).rejects.toThrow(TypeError)
  })
})

describe('a question', () => {
  const read = (bytes: Uint8Array): Query => {
    const query = readQuery(bytes)
    if (query === undefined || 'rcode' in query) throw new Error('no question')
    return query
  }

  it('comes back with SERVFAIL, its reason and its letters', () => {
    const query = read(encodeQuery({ name: 'eXample.FI.', flags: 0x0110, type: TYPE.A }))
    const bytes = servfail(query, EDE.blocked, 'because')
    expect(bytes.subarray(12, query.end)).toEqual(query.bytes.subarray(12, query.end))
    const reply = parseMessage(bytes)
    expect(reply).toMatchObject({ id: 4711, qr: true, rd: true, ra: true, cd: true, rcode: 2 })
    const [opt] = reply.additional
    expect(opt).toMatchObject({ type: TYPE.OPT, class: 1232 })
    // Option 15: the info code, and text (RFC 8914 §2).
    expect(opt!.rdata).toEqual(Uint8Array.of(0, 15, 0, 9, 0, 15, ...utf8('because')))
  })

  it('without EDNS gets no reason', () => {
    const query = read(encodeQuery({ name: 'example.fi.', size: undefined }))
    const reply = parseMessage(servfail(query, EDE.blocked, 'because'))
    expect(reply).toMatchObject({ rcode: 2, additional: [] })
  })

  it('has a long reason cut', () => {
    const query = read(encodeQuery({ name: 'example.fi.' }))
    const bytes = servfail(query, EDE.other, 'x'.repeat(10_000))
    expect(bytes.length).toBeLessThan(512)
    expect(parseMessage(bytes).rcode).toBe(2)
  })

  it('that is a reply, or no message, gets no answer', () => {
    for (const bytes of [[], [1, 2], Array.from({ length: 11 }, () => 0)]) {
      expect(readQuery(Uint8Array.from(bytes))).toBeUndefined()
    }
    expect(readQuery(encodeQuery({ name: 'example.fi.', flags: 0x8000 }))).toBeUndefined()
  })

  it('that is cut, grown or of another kind is told so, by a header', () => {
    const whole = encodeQuery({ name: 'example.fi.' })
    for (let end = 12; end < whole.length; end++) {
      const cut = whole.slice(0, end)
      expect(readQuery(cut), `${end} bytes`).toEqual({ rcode: 1 })
      expect(parseMessage(refuse(cut, { rcode: 1 }))).toMatchObject({
        id: 4711,
        qr: true,
        rcode: 1,
      })
    }
    expect(readQuery(Uint8Array.of(...whole, 0))).toEqual({ rcode: 1 })
    expect(readQuery(encodeQuery({ name: 'fi.', flags: 0x2000 }))).toEqual({ rcode: 4 })
    expect(readQuery(encodeQuery({ name: 'fi.', type: 252 }))).toEqual({ rcode: 5 })
    // A name that points into the header.
    const pointing = Uint8Array.of(0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xc0, 4, 0, 1, 0, 1)
    expect(readQuery(pointing)).toEqual({ rcode: 1 })
  })

  it('of any bytes does no harm', () => {
    const random = randomIntFrom(1)
    for (let i = 0; i < 5000; i++) {
      const bytes = Uint8Array.from({ length: i % 60 }, () => random(256))
      const query = readQuery(bytes)
      if (query === undefined) continue
      const reply = 'rcode' in query ? refuse(bytes, query) : servfail(query, 0, '')
      expect(parseMessage(reply).qr).toBe(true)
    }
  })
})

describe('a forwarder', () => {
  it('asks nothing for a datagram that cannot be answered', async () => {
    const bind = vi.spyOn(Socket.prototype, 'bind')
    const asked: Query[] = []
    const forward = async (query: Query): Promise<Uint8Array> => {
      asked.push(query)
      return servfail(query, EDE.other, 'the end')
    }
    const forwarder = await Forwarder.open({
      upstream: { forward } as unknown as Upstream,
      enforcer: { check: async () => undefined },
      address: '127.0.0.1',
      port: 0,
      onFault: () => {},
    })
    onTestFinished(() => forwarder.close())
    const udp = bind.mock.contexts[0] as Socket
    bind.mockRestore()
    const question = Buffer.from(encodeQuery({ name: 'example.fi.', type: TYPE.A }))
    const from = { address: '127.0.0.1', family: 'IPv4' }
    udp.emit('message', question, { ...from, port: 0 })
    expect(asked).toHaveLength(0)
    udp.emit('message', question, { ...from, port: forwarder.port })
    expect(asked).toHaveLength(1)
  })
})

describe('the command', () => {
  it.each([
    [['--upstream', 'localhost:53'], /127\.0\.0\.1:53/],
    [['--upstream', '127.0.0.1'], /127\.0\.0\.1:53/],
    [['--upstream', '127.0.0.1:70000'], /127\.0\.0\.1:53/],
    [['--upstream', '[127.0.0.1]:53'], /127\.0\.0\.1:53/],
    [['--upstream', '127.0.0.1:53', '--grace', 'soon'], /span of time/],
    [['--upstream', '127.0.0.1:53', '--listen', '0.0.0.0:53'], /only addresses of this machine/],
    [['--upstream', '[::1]:53', '--listen', '[2001:db8::1]:53'], /only addresses of this machine/],
    [[], /--upstream/],
  ])('is not called with %s', async (args, complaint) => {
    const { code, stderr } = await dslog(['enforce', ...args, '--log', 'http://127.0.0.1:1'])
    expect(code).toBe(2)
    expect(stderr).toMatch(complaint)
  })
})
