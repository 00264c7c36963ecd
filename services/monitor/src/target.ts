/**
 * Where alerts go, as people write it:
 *
 *   mailto:ops@example.net     https://hooks.example.net/dns     of anybody
 *   hook:/etc/dslog/alert      ntfy:https://ntfy.example/topic   stdout:     of the operator alone
 */
import { isAbsolute } from 'node:path'
import { getDomain } from 'tldts'
import { isAtOrBelow, type Name, nameFromText, nameToText } from '@dslog/dnssec/name'
import type { ChannelKind } from '@dslog/schema/alertdb'
import { domainOfAddress } from './channel/email.ts'
import { faultOfUrl } from './channel/egress.ts'
import { OwnerError } from './owner-error.ts'

export interface Target {
  readonly kind: ChannelKind
  readonly target: string
}

/** Reads a channel as an operator writes it. @throws OwnerError `invalid` */
export function operatorTarget(text: string): Target {
  const [, scheme = '', rest = ''] = /^([a-z]+):(.*)$/s.exec(text) ?? []
  switch (scheme) {
    case 'mailto':
      return mailbox(rest)
    case 'http':
    case 'https':
      return { kind: 'webhook', target: urlOf(text) }
    case 'ntfy':
      return { kind: 'ntfy', target: urlOf(rest) }
    case 'hook':
      if (!isAbsolute(rest)) {
        throw new OwnerError('invalid', 'a hook is the absolute path of a program')
      }
      return { kind: 'hook', target: rest }
    case 'stdout':
      return { kind: 'stdout', target: '' }
    default:
      throw new OwnerError('invalid', `${text} is no mailto:, https://, ntfy:, hook: or stdout:`)
  }
}

/** Reads a channel as a stranger writes it. @throws OwnerError `invalid` */
export function publicTarget(text: string, isSpecial?: (address: string) => boolean): Target {
  if (text.startsWith('https:')) {
    const fault = faultOfUrl(text, isSpecial)
    if (fault !== undefined) throw new OwnerError('invalid', `the URL of the webhook ${fault}`)
    return { kind: 'webhook', target: new URL(text).href }
  }
  if (text.startsWith('http:')) throw new OwnerError('invalid', 'a webhook has an https:// URL')
  return mailbox(text.replace(/^mailto:/, ''))
}

function mailbox(address: string): Target {
  if (domainOfAddress(address) === undefined) {
    throw new OwnerError('invalid', 'a channel is a mail address or an https:// URL')
  }
  const at = address.lastIndexOf('@')
  return { kind: 'email', target: address.slice(0, at) + address.slice(at).toLowerCase() }
}

function urlOf(text: string): string {
  if (!URL.canParse(text) || !/^https?:/.test(text)) {
    throw new OwnerError('invalid', `${text} is no URL`)
  }
  return text
}

/**
 * What counts as one mailbox for the limits: without the part behind a plus, which most providers deliver
 * to the same place, and in lower case. A webhook is its path: many share the hosts of large providers.
 */
export function mailboxKey({ kind, target }: Target): string {
  if (kind !== 'email') return `${kind} ${new URL(target).host}${new URL(target).pathname}`
  const at = target.lastIndexOf('@')
  return `email ${target.slice(0, at).replace(/\+.*$/, '').toLowerCase()}${target.slice(at)}`
}

/**
 * Whether strangers may watch everything below a name: only at or below a domain that somebody can
 * register, by the ICANN section of the Public Suffix List. Below a registry's own, that would be its
 * whole business.
 */
export function maySubtree(name: Name): boolean {
  const host = nameToText(name).slice(0, -1)
  const domain = getDomain(host, { allowPrivateDomains: false, validateHostname: false })
  return domain !== null && isAtOrBelow(name, nameFromText(domain))
}
