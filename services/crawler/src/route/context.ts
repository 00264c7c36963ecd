/** What the routes of the crawler share. */
import type { Name } from '@dslog/dnssec/name'
import type { CrawlerTables } from '@dslog/schema/crawlerdb'
import type { Clock } from '@dslog/service/clock'
import type { Secret } from '@dslog/service/config'
import type { Database } from '@dslog/service/db'
import { bearerOf, isToken } from '@dslog/service/http/bearer'
import { Problem } from '@dslog/service/problem'
import type { Frontier } from '../frontier.ts'
import type { SourceTable } from '../source/source.ts'
import type { Views } from '../views.ts'

/** What a route may use. */
export interface CrawlerContext {
  readonly db: Database<CrawlerTables>
  readonly frontier: Frontier
  readonly views: Views
  readonly sources: SourceTable
  readonly optOut: readonly Name[]
  /** Whoever presents it may say what is watched, and let lists pass. */
  readonly token: Secret | undefined
  readonly hashKey: Uint8Array
  readonly clock: Clock
}

/** Headers of a request and of its answer, as far as they matter here. */
export interface Exchange {
  readonly request: { readonly headers: { readonly authorization?: string | undefined } }
  readonly reply: { header(name: string, value: string): unknown }
}

/** Refuses who does not present the token. */
export function authorize({ token }: CrawlerContext, { reply, request }: Exchange): void {
  const given = bearerOf(request.headers.authorization)
  if (given === undefined) {
    // RFC 9110 section 15.5.2: it says how to ask.
    reply.header('www-authenticate', 'Bearer')
    throw new Problem('unauthorized', "This needs the crawler's token")
  }
  if (!isToken(given, token)) {
    throw new Problem('forbidden', "This is not the crawler's token")
  }
}
