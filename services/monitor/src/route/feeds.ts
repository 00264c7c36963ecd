/**
 * Atom feeds (RFC 4287) of verified changes, of one name or of all. They are of what the log has, and so
 * public already; whoever reads one tells nobody but this monitor what they watch.
 */
import { Feed } from 'feed'
import Type from 'typebox'
import { nameToText } from '@dslog/dnssec/name'
import type { MonitorChange } from '@dslog/schema/api'
import type { Http } from '@dslog/service/http'
import { nameOf } from '@dslog/service/params'
import { Problem } from '@dslog/service/problem'
import { dateOf } from '@dslog/verify/describe'
import { changeOf, type MonitorContext } from './context.ts'

/** Entries of a feed, the newest. */
const ENTRIES = 100

/** How long a feed may be kept, seconds: readers ask more often than domains change. */
const MAX_AGE = 60

const SUFFIX = '.atom'

const FeedParam = Type.Object({ feed: Type.String({ minLength: SUFFIX.length + 1 }) })

export function feedRoutes(app: Http, { changes: all }: MonitorContext, base: string): void {
  app.get(
    '/feeds/:feed',
    {
      schema: {
        tags: ['feeds'],
        summary:
          'Verified changes as an Atom feed: of one name (example.com.atom), or of all (all.atom)',
        params: FeedParam,
      },
    },
    async ({ params: { feed: file } }, reply) => {
      if (!file.endsWith(SUFFIX)) throw new Problem('not-found')
      const what = file.slice(0, -SUFFIX.length)
      const name = what === 'all' ? undefined : nameOf(what)
      const changes = (await all.newest(ENTRIES, name)).map(changeOf)
      const title =
        name === undefined ? 'All changes of delegations' : `Changes of ${nameToText(name)}`
      reply
        .type('application/atom+xml; charset=utf-8')
        .header('cache-control', `public, max-age=${MAX_AGE}`)
      const path = name === undefined ? 'all' : encodeURIComponent(nameToText(name))
      return atomOf(title, `${base}/feeds/${path}${SUFFIX}`, changes, base)
    },
  )
}

/** A feed. Its ids are of the logs' entries, so they stay the same at every monitor. */
function atomOf(
  title: string,
  self: string,
  changes: readonly MonitorChange[],
  base: string,
): string {
  const feed = new Feed({
    id: self,
    title: xmlText(title),
    feedLinks: { atom: self },
    author: { name: 'dslog monitor' },
    updated: dateOf(changes[0]?.time ?? 0),
    generator: 'dslog monitor',
  })
  for (const change of changes) {
    const { ds, index, log, name, out_of_order: late, signed, time } = change
    const what = signed ? `${ds.length} DS` : 'no DS, proven'
    feed.addItem({
      id: `urn:dslog:${encodeURIComponent(log)}:${index}`,
      title: xmlText(`${name} ${what}${late ? ' (out of order)' : ''}`),
      link: `${base}/v1/names/${encodeURIComponent(name)}`,
      date: dateOf(time),
      description: xmlText([`Entry ${index} of ${log}`, ...ds].join('\n')),
    })
  }
  return feed.atom1()
}

const ENTITIES: Readonly<Record<string, string>> = {
  '<': '&lt;',
  '>': '&gt;',
  '&': '&amp;',
  '"': '&quot;',
  "'": '&#39;',
}

/**
 * Titles and descriptions are given out as type html: what a name holds is text of that HTML, and a
 * reader that shows it must not find a tag, nor the end of the CDATA section that it stands in.
 */
function xmlText(text: string): string {
  return text.replaceAll(/[<>&"']/g, (character) => ENTITIES[character]!)
}
