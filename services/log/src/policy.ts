/** The policy that a log is trusted by (C2SP tlog-policy): its keys, and the witnesses it asks. */
import { readFile } from 'node:fs/promises'
import { parseVkey } from '@dslog/tlog/key'
import { formatPolicy, parsePolicy, type Policy } from '@dslog/tlog/policy'
import { isLoopback } from '@dslog/service/specialaddress'
import { LogError } from './error.ts'

/** The witnesses of a policy, and which of them make a quorum. */
export type WitnessPolicy = Pick<Policy, 'groups' | 'quorum' | 'witnesses'>

/** Reads a policy of witnesses. Its `log` lines, if any, are not for us to read. @throws LogError `witnesses` */
export async function readWitnessPolicy(path: string): Promise<WitnessPolicy> {
  let policy
  try {
    policy = parsePolicy(await readFile(path))
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new LogError('witnesses', `${path}: ${reason}`, { cause })
  }
  for (const { name, url } of policy.witnesses) {
    if (url !== undefined && !(URL.canParse(url) && /^https?:$/.test(new URL(url).protocol))) {
      throw new LogError('witnesses', `${path}: ${name} has no http or https URL: ${url}`)
    }
  }
  return policy
}

/** Whether one of the witnesses that are asked is not on this machine. */
export function arePublic({ witnesses }: WitnessPolicy): boolean {
  return witnesses.some(({ url }) => url !== undefined && !isLoopback(new URL(url).hostname))
}

/** The policy that trusts the log of these keys. Without witnesses, its signature alone is enough. */
export function policyText(
  vkeys: readonly string[],
  url: string | undefined,
  witnessed?: WitnessPolicy,
): string {
  const tail = url === undefined ? {} : { url }
  const logs = vkeys.map((vkey) => ({ key: parseVkey(vkey), ...tail }))
  const { groups = [], quorum, witnesses = [] } = witnessed ?? {}
  return new TextDecoder().decode(formatPolicy({ logs, witnesses, groups, quorum }))
}
