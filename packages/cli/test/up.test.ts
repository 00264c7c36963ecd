/** What `dslog up` says of its crawler: what it is configured to do. */
import { expect, test } from 'vitest'
import { crawls } from '../src/command/up.ts'
import { readServiceConfig } from '../src/config.ts'

const ASKED = 'What the log knows is asked every day.'

test.each([
  [{}, `The crawler transfers the root zone, every hour if changed. ${ASKED}`],
  [{ DSLOG_CRAWLER_TRANSFERS: 'none' }, `The crawler transfers no zone. ${ASKED}`],
  [
    { DSLOG_CRAWLER_TRANSFERS: 'se@192.0.2.1,SE.@192.0.2.2', DSLOG_CRAWLER_NAMES: '/names' },
    'The crawler transfers the zone se., every hour if changed. The names in /names are asked.',
  ],
  [
    { DSLOG_CRAWLER_TRANSFERS: '.@192.0.2.1,nu.@192.0.2.1' },
    `The crawler transfers the root zone, the zone nu., every hour if changed. ${ASKED}`,
  ],
  ...[
    ['1d', 'day'],
    ['90m', '90 minutes'],
    ['3600s', 'hour'],
    ['250ms', '250 milliseconds'],
  ].map(([DSLOG_CRAWLER_TRANSFER_INTERVAL, words]): [object, string] => [
    { DSLOG_CRAWLER_TRANSFER_INTERVAL },
    `The crawler transfers the root zone, every ${words} if changed. ${ASKED}`,
  ]),
])('with %j', (env, text) => {
  expect(crawls(readServiceConfig({ ...env }).crawler)).toBe(text)
})
