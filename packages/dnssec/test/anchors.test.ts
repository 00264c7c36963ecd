/** The table of trust anchors, its intervals, and both file forms. */
import { describe, expect, test } from 'vitest'
import { toHex } from '@dslog/tlog/bytes'
import { anchorsAt, formatAnchors, parseAnchors, ROOT_ANCHORS } from '../src/anchors.ts'
import { dsMatchesKey } from '../src/ds.ts'
import { ROOT } from '../src/name.ts'
import { rdataFromText } from '../src/rdata.ts'
import { dsToText, parseDnskey, TYPE } from '../src/records.ts'
import { BACKENDS } from './backends.ts'
import { present, readText } from './vectors.ts'

const DIGEST = 'E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D'
const bad = { name: 'DnssecError', code: 'bad-anchor' }

const tagsAt = (time: string): number[] =>
  anchorsAt(ROOT_ANCHORS, Date.parse(time)).map(({ tag }) => tag)

describe('the root', () => {
  test('intervals begin and end at UTC midnight', () => {
    expect(tagsAt('2010-07-14T23:59:59.999Z')).toEqual([])
    expect(tagsAt('2010-07-15T00:00:00Z')).toEqual([19036])
    expect(tagsAt('2017-02-01T23:59:59.999Z')).toEqual([19036])
    expect(tagsAt('2017-02-02T00:00:00Z')).toEqual([19036, 20326])
    expect(tagsAt('2019-01-10T23:59:59.999Z')).toEqual([19036, 20326])
    expect(tagsAt('2019-01-11T00:00:00Z')).toEqual([20326])
    expect(tagsAt('2024-07-17T23:59:59.999Z')).toEqual([20326])
    expect(tagsAt('2024-07-18T00:00:00Z')).toEqual([20326, 38696])
    expect(tagsAt('2100-01-01T00:00:00Z')).toEqual([20326, 38696])
  })

  test.skipIf(!present)('digests are those of the published DS and keys', async () => {
    const published = readText('data/keys/root-ksk.ds').split('\n').filter(Boolean)
    expect(
      ROOT_ANCHORS.map(({ tag, algorithm, digestType, digest }) => {
        return `${tag} ${algorithm} ${digestType} ${toHex(digest).toUpperCase()}`
      }),
    ).toEqual(
      published.map((line) => dsToText(rdataFromText(TYPE.DS, line.replace(/^.* DS /, '')))),
    )
    const keys = readText('data/keys/root-ksk-all.key').split('\n').filter(Boolean)
    for (const [, backend] of BACKENDS) {
      for (const [i, line] of keys.entries()) {
        const text = line.replace(/;.*/, '').replace(/^.*DNSKEY\s+/, '')
        const key = parseDnskey(rdataFromText(TYPE.DNSKEY, text.trim()))
        expect(await dsMatchesKey(ROOT_ANCHORS[i]!, ROOT, key, backend)).toBe(true)
      }
    }
  })

  test('the table comes back from its text', () => {
    const text = formatAnchors(ROOT_ANCHORS)
    expect(text.split('\n')[0]).toBe(
      '. DS 19036 8 2 49AAC11D7B6F6446702E54A1607371607A1A41855200FD2CE1CDDE32F24E8FB5' +
        ' 2010-07-15T00:00:00Z 2019-01-11T00:00:00Z',
    )
    expect(parseAnchors(text)).toEqual(ROOT_ANCHORS)
  })
})

describe('files of lines', () => {
  test('comments, TTL, class, split and lower-case digests, optional dates', () => {
    const text = `
      # our own
      . 172800 IN DS 20326 8 2 ${DIGEST.slice(0, 56)} ${DIGEST.slice(56)} ; as dig shows it
      .\tDS 1 13 2 ${DIGEST.toLowerCase()} 2020-01-01\r
      . IN DS 2 15 2 ${DIGEST} 2020-01-01T12:00:00+02:00 2021-01-01 # both`
    const anchors = parseAnchors(text)
    expect(anchors.map(({ tag, algorithm }) => [tag, algorithm])).toEqual([
      [20326, 8],
      [1, 13],
      [2, 15],
    ])
    expect(anchors.every(({ digest }) => toHex(digest).toUpperCase() === DIGEST)).toBe(true)
    expect(anchors.map(({ from, until }) => [from, until])).toEqual([
      [-Infinity, undefined],
      [Date.UTC(2020, 0, 1), undefined],
      [Date.UTC(2020, 0, 1, 10), Date.UTC(2021, 0, 1)],
    ])
    expect(parseAnchors(formatAnchors(anchors))).toEqual(anchors)
    expect(anchorsAt(anchors, 0).map(({ tag }) => tag)).toEqual([20326])
  })

  test('what is not an anchor', () => {
    for (const line of [
      '',
      '# nothing',
      `example. DS 1 8 2 ${DIGEST}`,
      `. DNSKEY 257 3 8 AwEAAQ==`,
      `. CH DS 1 8 2 ${DIGEST}`,
      `. DS 65536 8 2 ${DIGEST}`,
      `. DS 01 8 2 ${DIGEST}`,
      `. DS -1 8 2 ${DIGEST}`,
      `. DS 1 256 2 ${DIGEST}`,
      `. DS 1 8 1 ${DIGEST.slice(0, 40)}`,
      `. DS 1 8 4 ${DIGEST}${DIGEST.slice(0, 32)}`,
      `. DS 1 8 2 ${DIGEST.slice(1)}`,
      `. DS 1 8 2 ${DIGEST}00`,
      `. DS 1 8 2 ${DIGEST.slice(1)}G`,
      `. DS 1 8 2`,
      `. DS`,
      `DS 1 8 2 ${DIGEST}`,
      `. DS 1 8 2 ${DIGEST} 2020-13-01`,
      `. DS 1 8 2 ${DIGEST} 2021-02-29`,
      `. DS 1 8 2 ${DIGEST} 2021-02-30T00:00:00Z`,
      `. DS 1 8 2 ${DIGEST} 2020-01-01T25:00:00Z`,
      `. DS 1 8 2 ${DIGEST} 2020-1-1`,
      `. DS 1 8 2 ${DIGEST} 2020-01-01 2020-01-01`,
      `. DS 1 8 2 ${DIGEST} 2020-01-01 2019-01-01`,
      `. DS 1 8 2 ${DIGEST} 2020-01-01 2021-01-01 2022-01-01`,
      `. DS 1 8 2 2020-01-01 ${DIGEST}`,
    ]) {
      expect(() => parseAnchors(line), line).toThrow(expect.objectContaining(bad))
    }
  })
})

describe("IANA's XML (RFC 9718)", () => {
  const xml = (body: string): string => `<?xml version="1.0" encoding="UTF-8"?>
    <TrustAnchor id="1" source="http://data.iana.org/root-anchors/root-anchors.xml">
    <Zone>.</Zone>${body}</TrustAnchor>`
  const keyDigest = (attributes: string, fields: string): string =>
    `<KeyDigest id="K" ${attributes}>${fields}</KeyDigest>`
  const fields = `<KeyTag>20326</KeyTag><Algorithm>8</Algorithm>
    <DigestType>2</DigestType><Digest>${DIGEST}</Digest>
    <PublicKey>AwEAAQ==</PublicKey><Flags>257</Flags>`

  test('key digests with their intervals', () => {
    const open = keyDigest('validFrom="2017-02-02T00:00:00+00:00"', fields)
    expect(parseAnchors(xml(open))).toEqual([ROOT_ANCHORS[1]])
    const from = 'validFrom="2010-07-15T00:00:00+00:00"'
    const closed = keyDigest(`${from} validUntil="2019-01-11T00:00:00+00:00"`, fields)
    const both = parseAnchors(xml(closed + open))
    expect(both).toHaveLength(2)
    expect(both[0]).toMatchObject({ from: ROOT_ANCHORS[0]!.from, until: ROOT_ANCHORS[0]!.until })
  })

  test('an end without a beginning is still the end when it was written as lines', () => {
    const ended = parseAnchors(xml(keyDigest('validUntil="2019-01-11T00:00:00+00:00"', fields)))
    const again = parseAnchors(formatAnchors(ended))
    expect(again).toMatchObject([{ until: Date.UTC(2019, 0, 11) }])
    for (const anchors of [ended, again]) {
      expect(anchorsAt(anchors, 0)).toHaveLength(1)
      expect(anchorsAt(anchors, Date.UTC(2019, 0, 11))).toEqual([])
    }
    expect(formatAnchors(again)).toBe(formatAnchors(ended))
  })

  test('other digest types are skipped, comments are none', () => {
    const open = keyDigest('validFrom="2017-02-02T00:00:00+00:00"', fields)
    const sha1 = keyDigest('', fields.replace('<DigestType>2', '<DigestType>1'))
    expect(parseAnchors(xml(sha1 + `<!-- ${open} -->` + open))).toEqual([ROOT_ANCHORS[1]])
    for (const body of ['', sha1, `<!-- ${open} -->`]) {
      expect(() => parseAnchors(xml(body))).toThrow(expect.objectContaining(bad))
    }
  })

  test('another zone, or broken fields', () => {
    const open = keyDigest('validFrom="2017-02-02T00:00:00+00:00"', fields)
    for (const text of [
      xml(open).replace('<Zone>.<', '<Zone>example.<'),
      xml(open).replace('<Zone>.</Zone>', '<Zone>example.</Zone><!-- <Zone>.</Zone> -->'),
      xml(open).replace('20326', '66666'),
      xml(open).replace(DIGEST, 'ABCD'),
      xml(open).replace('2017-02-02', 'soon'),
      xml(open).replace('<Algorithm>8', '<Algorithm>'),
    ]) {
      expect(() => parseAnchors(text)).toThrow(expect.objectContaining(bad))
    }
  })
})
