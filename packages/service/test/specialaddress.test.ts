import { lookup } from 'node:dns/promises'
import { BlockList, isIPv6 } from 'node:net'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  formatAddress,
  isLoopback,
  isSpecialAddress,
  parseAddress,
  permission,
  specialRange,
} from '@dslog/service/specialaddress'

/** First and last address of each range, and the public neighbours on both sides. */
const RANGES: readonly [first: string, last: string, name: string, ...outside: string[]][] = [
  ['0.0.0.0', '0.255.255.255', 'this network', '1.0.0.0'],
  ['10.0.0.0', '10.255.255.255', 'private use', '9.255.255.255', '11.0.0.0'],
  ['100.64.0.0', '100.127.255.255', 'shared address space', '100.63.255.255', '100.128.0.0'],
  ['127.0.0.0', '127.255.255.255', 'loopback', '126.255.255.255', '128.0.0.0'],
  ['169.254.0.0', '169.254.255.255', 'link-local', '169.253.255.255', '169.255.0.0'],
  ['172.16.0.0', '172.31.255.255', 'private use', '172.15.255.255', '172.32.0.0'],
  ['192.0.0.0', '192.0.0.255', 'IETF protocol assignments', '191.255.255.255', '192.0.1.0'],
  ['192.0.0.8', '192.0.0.10', 'IETF protocol assignments'],
  ['192.0.0.170', '192.0.0.171', 'IETF protocol assignments'],
  ['192.0.2.0', '192.0.2.255', 'documentation', '192.0.1.255', '192.0.3.0'],
  ['192.31.196.0', '192.31.196.255', 'AS112', '192.31.195.255', '192.31.197.0'],
  ['192.52.193.0', '192.52.193.255', 'AMT', '192.52.192.255', '192.52.194.0'],
  ['192.88.99.0', '192.88.99.255', '6to4 relay anycast', '192.88.98.255', '192.88.100.0'],
  ['192.168.0.0', '192.168.255.255', 'private use', '192.167.255.255', '192.169.0.0'],
  ['192.175.48.0', '192.175.48.255', 'AS112', '192.175.47.255', '192.175.49.0'],
  ['198.18.0.0', '198.19.255.255', 'benchmarking', '198.17.255.255', '198.20.0.0'],
  ['198.51.100.0', '198.51.100.255', 'documentation', '198.51.99.255', '198.51.101.0'],
  ['203.0.113.0', '203.0.113.255', 'documentation', '203.0.112.255', '203.0.114.0'],
  ['224.0.0.0', '239.255.255.255', 'multicast', '223.255.255.255'],
  ['240.0.0.0', '255.255.255.255', 'reserved'],
  ['::', '::', 'unspecified'],
  ['::1', '::1', 'loopback'],
  ['::2', '::fffe:ffff:ffff', 'not assigned'],
  ['64:ff9b:1::', '64:ff9b:1:ffff:ffff:ffff:ffff:ffff', 'local translation'],
  ['100::', '100::ffff:ffff:ffff:ffff', 'discard only'],
  ['100:0:0:1::', '100:0:0:1:ffff:ffff:ffff:ffff', 'dummy prefix'],
  ['2001::', '2001:0:ffff:ffff:ffff:ffff:ffff:ffff', 'Teredo'],
  ['2001:1::1', '2001:1::3', 'IETF protocol assignments'],
  ['2001:2::', '2001:2:0:ffff:ffff:ffff:ffff:ffff', 'IETF protocol assignments'],
  ['2001:3::', '2001:3:ffff:ffff:ffff:ffff:ffff:ffff', 'IETF protocol assignments'],
  ['2001:4:112::', '2001:4:112:ffff:ffff:ffff:ffff:ffff', 'IETF protocol assignments'],
  ['2001:10::', '2001:1f:ffff:ffff:ffff:ffff:ffff:ffff', 'IETF protocol assignments'],
  ['2001:20::', '2001:2f:ffff:ffff:ffff:ffff:ffff:ffff', 'IETF protocol assignments'],
  ['2001:30::', '2001:3f:ffff:ffff:ffff:ffff:ffff:ffff', 'IETF protocol assignments'],
  [
    '2001:1::',
    '2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff',
    'IETF protocol assignments',
    '2001:200::',
    '2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff',
  ],
  [
    '2001:db8::',
    '2001:db8:ffff:ffff:ffff:ffff:ffff:ffff',
    'documentation',
    '2001:db7:ffff::',
    '2001:db9::',
  ],
  ['2002::', '2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff', '6to4', '2003::'],
  [
    '2620:4f:8000::',
    '2620:4f:8000:ffff:ffff:ffff:ffff:ffff',
    'AS112',
    '2620:4f:7fff::',
    '2620:4f:8001::',
  ],
  [
    '3fff::',
    '3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff',
    'documentation',
    '3ffe:ffff::',
    '3fff:1000::',
  ],
  ['4000::', '5eff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', 'not assigned'],
  ['5f00::', '5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff', 'segment routing'],
  ['6000::', 'fbff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', 'not assigned'],
  ['fc00::', 'fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', 'unique local'],
  ['fe80::', 'febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff', 'link-local'],
  ['fec0::', 'feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', 'site-local'],
  ['ff00::', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', 'multicast'],
]

describe('special-purpose ranges', () => {
  it.each(RANGES)('%s to %s is %s', (first, last, name, ...outside) => {
    expect(specialRange(first)).toBe(name)
    expect(specialRange(last)).toBe(name)
    for (const address of outside) expect(specialRange(address), address).toBeUndefined()
  })

  it('lets root servers, resolvers and web servers pass', () => {
    const addresses = ['198.41.0.4', '1.1.1.1', '8.8.8.8', '93.184.216.34', '192.33.4.12']
    for (const address of [...addresses, '2001:503:ba3e::2:30', '2606:4700::1111', '2a00::1']) {
      expect(specialRange(address), address).toBeUndefined()
    }
  })

  it('judges an IPv4 address inside an IPv6 one by what it reaches', () => {
    const special: [string, string][] = [
      ['::ffff:127.0.0.1', 'loopback'],
      ['::ffff:7f00:1', 'loopback'],
      ['0:0:0:0:0:ffff:10.1.2.3', 'private use'],
      ['64:ff9b::192.168.1.1', 'private use'],
      ['64:ff9b::a9fe:a9fe', 'link-local'],
      ['::127.0.0.1', 'not assigned'],
      ['2002:7f00:1::', '6to4'],
      ['2002:5db8:d822::', '6to4'],
      ['2001:0:5ef5:79fb:0:59d:a2a3:3a85', 'Teredo'],
    ]
    for (const [address, name] of special) expect(specialRange(address), address).toBe(name)
    for (const address of ['::ffff:1.1.1.1', '::FFFF:101:101', '64:ff9b::8.8.8.8']) {
      expect(specialRange(address), address).toBeUndefined()
    }
  })

  it('refuses everything that is no address in its strict form', async () => {
    const texts = ['127.1', '0x7f000001', '2130706433', '0177.0.0.1', '127.0.0.01', '1.1.1.1.']
    const more = [
      '',
      ' 1.1.1.1',
      '1.1.1.1:53',
      '[::1]',
      'fe80::1%lo',
      '::1%1',
      'localhost',
      '1.1.1',
    ]
    for (const text of [...texts, ...more, '1:2:3:4:5:6:7:8:9', '::1::', '256.1.1.1', '١.1.1.1']) {
      expect(specialRange(text), text).toBe('not an address')
      expect(isSpecialAddress(text)).toBe(true)
    }
    // Why it matters: what the system takes for an address is the loopback.
    expect((await lookup('127.1')).address).toBe('127.0.0.1')
  })

  it('agrees with the matcher of Node', () => {
    // One for each family: a matcher takes IPv4 for a part of ::/3.
    const lists = { ipv4: new BlockList(), ipv6: new BlockList() }
    for (const [first, last] of RANGES) {
      const family = isIPv6(first) ? 'ipv6' : 'ipv4'
      lists[family].addRange(first, last, family)
    }
    lists.ipv6.addSubnet('::', 3, 'ipv6')
    lists.ipv6.addSubnet('4000::', 2, 'ipv6')
    lists.ipv6.addSubnet('8000::', 1, 'ipv6')
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (address) => {
        const bytes = parseAddress(address)!
        // What holds an IPv4 address is tested above.
        fc.pre(bytes.length === 4 || (bytes[10] !== 0xff && bytes[1] !== 0x64))
        const family = bytes.length === 4 ? 'ipv4' : 'ipv6'
        expect(isSpecialAddress(address)).toBe(lists[family].check(address, family))
      }),
      { numRuns: 1000 },
    )
  })
})

describe('addresses as bytes', () => {
  it('reads every form and writes one', () => {
    const forms: [string, string][] = [
      ['192.0.2.1', '192.0.2.1'],
      ['::', '::'],
      ['1::', '1::'],
      ['::1', '::1'],
      ['2001:DB8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
      ['2001:0db8::0001', '2001:db8::1'],
      ['1:0:2:3:4:5:6:7', '1:0:2:3:4:5:6:7'],
      ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0'],
      ['::ffff:192.0.2.1', '::ffff:c000:201'],
    ]
    for (const [text, canonical] of forms) {
      expect(formatAddress(parseAddress(text)!), text).toBe(canonical)
    }
    expect(() => formatAddress(new Uint8Array(5))).toThrow(RangeError)
  })

  it('goes there and back', () => {
    const bytes = fc.oneof(
      fc.uint8Array({ minLength: 4, maxLength: 4 }),
      fc.uint8Array({ minLength: 16, maxLength: 16 }),
      fc
        .array(fc.constantFrom(0, 1), { minLength: 16, maxLength: 16 })
        .map(Uint8Array.from.bind(Uint8Array)),
    )
    fc.assert(
      fc.property(bytes, (address) => {
        const text = formatAddress(address)
        expect(parseAddress(text)).toEqual(address)
        if (address.length === 4) return
        expect(new URL(`http://[${text}]`).hostname).toBe(`[${text}]`)
      }),
    )
  })
})

describe('a permission', () => {
  it('is given for the public internet and for what configuration names', () => {
    const permits = permission(['10.0.0.0/8', '192.168.7.7', 'fd00::/8', '::1'])
    const allowed = [
      '1.1.1.1',
      '2a00::1',
      '10.255.0.1',
      '::ffff:10.0.0.1',
      '192.168.7.7',
      'fd12::1',
    ]
    const refused = ['192.168.7.8', '127.0.0.1', '::2', 'fe80::1', '10.1', 'localhost', '']
    for (const address of [...allowed, '::1']) expect(permits(address), address).toBe(true)
    for (const address of refused) expect(permits(address), address).toBe(false)
    expect(permission([])('127.0.0.1')).toBe(false)
  })

  it('is for networks alone', () => {
    const texts = ['', 'localhost', '10.0.0.0/', '10.0.0.0/33', '::/129', '10/8', '10.0.0.0/8/8']
    for (const text of texts) {
      expect(() => permission(['::1', text]), text).toThrow(
        new RangeError(`not a network: ${text}`),
      )
    }
  })
})

it('the loopback has a name, and addresses of both families', () => {
  const own = ['localhost', '127.0.0.1', '127.9.9.9', '::1', '[::1]', '[::ffff:7f00:1]']
  for (const host of own) expect(isLoopback(host), host).toBe(true)
  const others = ['example.org', '128.0.0.1', '[::2]', '127.0.0.1.example.org', '10.0.0.1', '']
  for (const host of others) expect(isLoopback(host), host).toBe(false)
})
