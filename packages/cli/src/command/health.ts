/**
 * `dslog health log|monitor|crawler|URL`: whether a service is ready. For health checks of containers and
 * supervisors, which have no other client at hand; a service of this machine is found as its own
 * environment says. After a start, when nobody listens yet, it can wait.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { fromUtf8 } from '@dslog/tlog/bytes'
import { HttpError } from '@dslog/tlog/http'
import { httpUrl, isHttpUrl } from '../argument.ts'
import { readServiceConfig } from '../config.ts'
import { EXIT, Failure } from '../failure.ts'
import { urlOf } from '../service.ts'
import type { Session } from '../session.ts'

/** Checks that take longer have failed, ms; less than the interval of any supervisor. */
const TIMEOUT_MS = 5_000
/** A report names a dozen checks. */
const MAX_BYTES = 65_536

/** Between two looks at a service that is waited for, ms. */
const INTERVAL_MS = 250

export async function health(
  session: Session,
  what: string,
  { wait = 0 }: { readonly wait?: number },
): Promise<void> {
  const url = `${addressOf(session, what)}/readyz`
  const end = performance.now() + wait
  for (;;) {
    try {
      await demandReady(session, url)
      break
    } catch (error) {
      if (performance.now() >= end) throw error
      await sleep(INTERVAL_MS)
    }
  }
  session.output.event({ event: 'ready', url })
  session.output.line('ready')
}

async function demandReady(session: Session, url: string): Promise<void> {
  try {
    const limits = { maxBytes: MAX_BYTES, timeoutMs: TIMEOUT_MS, retries: 0, fresh: true }
    const { body } = await session.http().request(url, limits)
    if (checksOf(body) === undefined) {
      throw new Failure(EXIT.service, `${url}: not the answer of a service of dslog`)
    }
  } catch (cause) {
    if (!(cause instanceof HttpError)) throw cause
    const report = checksOf(cause.body) ?? `status ${cause.status}`
    throw new Failure(EXIT.service, `${url}: not ready: ${report}`, { cause })
  }
}

function addressOf(session: Session, what: string): string {
  if (isHttpUrl(what)) return httpUrl(what)
  const services = readServiceConfig(session.serviceEnv())
  if (!Object.hasOwn(services, what)) {
    const known = Object.keys(services).join(', ')
    throw new Failure(EXIT.usage, `${what} is no service: ${known}, or a URL`)
  }
  const { host, port } = services[what as keyof typeof services]
  return urlOf(host, port)
}

/** What is wrong, of a report of /readyz; it may have been written by anybody. */
function checksOf(body: Uint8Array): string | undefined {
  try {
    const { checks } = JSON.parse(fromUtf8(body)) as { checks?: unknown }
    if (typeof checks !== 'object' || checks === null) return undefined
    const wrong = Object.entries(checks).filter(([, found]) => found !== 'ok')
    return wrong.map(([name, found]) => `${name}: ${String(found)}`).join('; ')
  } catch {
    return undefined
  }
}
