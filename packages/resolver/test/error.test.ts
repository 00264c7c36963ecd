import { describe, expect, it } from 'vitest'
import { ResolverError } from '@dslog/resolver/error'
import { DEFAULT_TIMEOUT_MS, DNS_PORT, type Server } from '@dslog/resolver/exchange'

describe('ResolverError', () => {
  it('says what, where and why', () => {
    const server: Server = { address: '192.0.2.1', port: DNS_PORT }
    const cause = new Error('why')
    const error = new ResolverError('timeout', `nothing in ${DEFAULT_TIMEOUT_MS} ms`, {
      server,
      cause,
    })
    expect(error).toMatchObject({ name: 'ResolverError', code: 'timeout', server, cause })
    expect(new ResolverError('busy', 'too much')).not.toHaveProperty('cause')
  })
})
