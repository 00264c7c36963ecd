/** `dslog policy check`: reads a policy as every client of a log does, and says what it amounts to. */
import { formatVkey } from '@dslog/tlog/key'
import { parsePolicy, type Policy } from '@dslog/tlog/policy'
import { readInput } from '@dslog/service/input'
import { counted } from '@dslog/verify/counted'
import { EXIT, Failure, naming } from '../failure.ts'
import type { Session } from '../session.ts'

export async function policy(session: Session, action: string, file: string): Promise<void> {
  if (action !== 'check') throw new Failure(EXIT.usage, `dslog policy check FILE, not ${action}`)
  const text = await readInput(file)
  const policy = await naming(file, () => parsePolicy(text))
  const fewest = fewestWitnesses(policy)
  const warnings = warningsOf(policy, fewest)
  const { output } = session
  output.event({
    event: 'policy',
    logs: policy.logs.map(({ key, url }) => ({
      origin: key.name,
      vkey: formatVkey(key),
      url: url ?? null,
    })),
    witnesses: policy.witnesses.map(({ key, name, url }) => ({
      name,
      vkey: formatVkey(key),
      url: url ?? null,
    })),
    groups: policy.groups,
    quorum: policy.quorum ?? null,
    fewest_witnesses: fewest,
    warnings,
  })
  for (const { key, url } of policy.logs) {
    output.line(`log ${key.name}${url === undefined ? '' : ` at ${url}`}`)
  }
  for (const { key, name } of policy.witnesses) output.line(`witness ${name} (${key.name})`)
  for (const { members, name, threshold } of policy.groups) {
    output.line(`group ${name}: ${threshold} of ${members.join(', ')}`)
  }
  output.line(
    policy.quorum === undefined
      ? 'quorum none: the signature of the log is enough'
      : `quorum ${policy.quorum}: ${counted(fewest, 'witness', 'witnesses')} at least must have cosigned`,
  )
  for (const warning of warnings) output.line(`~ ${warning}`)
}

/** With how many witnesses' keys a quorum can be met: so many must be broken, with the log's, to split a view. */
export function fewestWitnesses({ groups, quorum, witnesses }: Policy): number {
  if (quorum === undefined) return 0
  // Groups name only what stands before them.
  const cost = new Map(witnesses.map(({ name }) => [name, 1]))
  for (const { members, name, threshold } of groups) {
    const cheapest = members.map((member) => cost.get(member) ?? Infinity).sort((a, b) => a - b)
    cost.set(
      name,
      cheapest.slice(0, threshold).reduce((sum, each) => sum + each, 0),
    )
  }
  return cost.get(quorum) ?? Infinity
}

function warningsOf(policy: Policy, fewest: number): string[] {
  const warnings: string[] = []
  const origins = new Set(policy.logs.map(({ key }) => key.name))
  if (origins.size === 0) warnings.push('it lists no log: nothing satisfies it')
  if (origins.size > 1) warnings.push('it lists several logs: a monitor wants one of them alone')
  if (policy.quorum === undefined) {
    warnings.push(
      'no witness is asked for: a log that shows two histories is found out only when they are compared',
    )
  } else if (fewest === 1 && policy.witnesses.length > 1) {
    warnings.push('one witness is enough: whoever holds that key and the log’s can split the view')
  }
  const used = new Set([policy.quorum, ...policy.groups.flatMap(({ members }) => members)])
  const idle = policy.witnesses.filter(({ name }) => !used.has(name)).map(({ name }) => name)
  if (idle.length > 0 && policy.quorum !== undefined) {
    warnings.push(`the quorum does not count: ${idle.join(', ')}`)
  }
  return warnings
}
