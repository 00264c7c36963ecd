/** Names that an operator wrote into the configuration: an error tells which setting is wrong. */
import { DnssecError } from '@dslog/dnssec/error'
import { nameFromTyped } from '@dslog/dnssec/idn'
import type { Name } from '@dslog/dnssec/name'
import { CrawlerError, type CrawlerErrorCode } from './error.ts'

/**
 * Reads a name, also one in letters of its own script.
 *
 * @param where what begins the message: a setting, or a part of one
 * @throws CrawlerError
 */
export function configuredName(text: string, code: CrawlerErrorCode, where: string): Name {
  try {
    return nameFromTyped(text)
  } catch (cause) {
    if (!(cause instanceof DnssecError)) throw cause
    throw new CrawlerError(code, `${where}: ${cause.message}`, { cause })
  }
}
