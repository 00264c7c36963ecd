/** What is said to a proxy, to the byte, and what is made of its answers. */
import { askForWay } from '@dslog/resolver/proxy'
import { concat, fromHex, toHex } from '@dslog/tlog/bytes'
import { describe, expect, it } from 'vitest'

/** Answers turn by turn; what was sent, in hexadecimal, and how many bytes were not waited for. */
function talkTo(address: string, ...answers: readonly string[]): { sent: string[]; left: number } {
  const talk = askForWay({ address, port: 53 }, 'ab')
  const sent: string[] = []
  let heard = concat(...answers.map(fromHex))
  for (let turn = talk.next(); turn.done !== true;) {
    const { send, take } = turn.value
    if (send !== undefined) sent.push(toHex(send))
    if (heard.length < take) throw new Error('waits for more')
    turn = talk.next(heard.subarray(0, take))
    heard = heard.subarray(take)
  }
  return { sent, left: heard.length }
}

const BOUND = '05000001' + '00000000' + '0000'

describe('asking a proxy for a way', () => {
  it('is under a user name, to an IPv4 address', () => {
    const sent = ['05020002', '0102616202' + '6162', '05010001' + 'c0000201' + '0035']
    expect(talkTo('192.0.2.1', '0502', '0100', BOUND)).toEqual({ sent, left: 0 })
  })

  it('is without one where none is wanted, and to an IPv6 address', () => {
    const sent = ['05020002', '05010004' + '20010db8000000000000000000000001' + '0035']
    expect(talkTo('2001:db8::1', '0500', BOUND)).toEqual({ sent, left: 0 })
  })

  it.each([
    ['IPv4', BOUND],
    ['IPv6', '05000004' + '00'.repeat(16) + '0000'],
    ['a name', '05000003' + '03616263' + '0000'],
    ['an empty name', '05000003' + '00' + '0000'],
  ])('reads an answer that names %s, and not a byte more', (_, answer) => {
    expect(talkTo('192.0.2.1', '0500', answer, '77').left).toBe(1)
  })

  it.each([
    ['speaks SOCKS4', ['0402']],
    ['speaks HTTP', ['4854']],
    ['lets nobody in', ['05ff']],
    ['wants what we have not', ['0501']],
    ['does not let this user in', ['0502', '0101']],
    ['refuses', ['0500', '05050001' + '00000000' + '0000']],
    ['names what is no address', ['0500', '05000002' + '00000000' + '0000']],
    ['answers in another protocol', ['0500', '04000001' + '00000000' + '0000']],
  ])('fails where it %s', (_, answers) => {
    const expected = expect.objectContaining({ name: 'ResolverError', code: 'network' }) as unknown
    expect(() => talkTo('192.0.2.1', ...answers)).toThrow(expected)
  })

  it('is for addresses only: a name would be looked up elsewhere', () => {
    expect(() => talkTo('dns.example', '0500', BOUND)).toThrow('addresses only')
  })
})
