/**
 * `dslog submit FILE|-`: what somebody saw of the DNS, as evidence: a resolver's cache, what dig printed, a
 * zone file, messages. Signed states that the log lacks are sent, and nothing else; the log verifies all
 * of it. A resolver's cache is a vantage that nobody recognises: it holds what its users were shown.
 */
import { type Name, nameFromText, nameKey, nameToText } from '@dslog/dnssec/name'
import { streamInput } from '@dslog/service/input'
import { LogApi } from '@dslog/service/logapi'
import { counted } from '@dslog/verify/counted'
import { Bag, type SeenState } from '../bag.ts'
import { EXIT, Failure } from '../failure.ts'
import { readSeen } from '../seen.ts'
import type { Session } from '../session.ts'

/** Names of one zone that are looked up one by one; of more, the whole zone is. */
const FEW = 20

/** What is no fault of the evidence: the log does not take this zone, or not now. */
const NO_FAULT: ReadonlySet<string | undefined> = new Set(['zone-not-admitted', 'rate-limited'])

export async function submit(session: Session, file: string): Promise<void> {
  const { output } = session
  const records = await readSeen(file === '-' ? session.io.stdin : streamInput(file))
  const api = new LogApi(await session.requireLogUrl(), session.http())
  const bag = new Bag(records)
  const states = [...bag.states(), ...(await absences(api, bag))]
  const missing = await lacking(api, states)
  await submitStates(session, api, missing)
  const known = states.length - missing.length
  output.event({ event: 'summary', records: records.length, states: states.length, known })
  output.line(
    `${counted(records.length, 'record')}, ${counted(states.length, 'signed state')}: the log had ${known} of them`,
  )
}

/** Sends states; what became of each is printed. */
export async function submitStates(
  session: Session,
  api: LogApi,
  states: readonly SeenState[],
): Promise<void> {
  const { output } = session
  if (states.length === 0) return
  const results = await api.submit(states.map(({ observation }) => observation))
  let refused = 0
  for (const [i, { ds, owner }] of states.entries()) {
    const { detail, index, reason, status } = results[i]!
    const name = nameToText(owner)
    output.event({ event: 'submitted', name, ds, ...results[i]! })
    const what = ds.length === 0 ? 'no DS' : ds.join(', ')
    if (status === 'logged') output.change(`+ ${name} (entry ${index}): ${what}`)
    else if (status !== 'refused') output.line(`  ${name}: ${status}: ${what}`)
    else {
      if (!NO_FAULT.has(reason)) refused++
      output.line(`  ${name}: refused, ${reason}: ${detail ?? ''}`)
    }
  }
  if (refused > 0) throw new Failure(EXIT.unverified, `${refused} states were refused`)
}

/** Names that the log holds a DS of, and records here that deny it. */
async function absences(api: LogApi, bag: Bag): Promise<SeenState[]> {
  const found: SeenState[] = []
  for (const zone of bag.denyingZones()) {
    const states = await api.states(zone)
    const signed = [...states].filter(([, ds]) => ds.length > 0)
    found.push(
      ...bag.absences(
        zone,
        signed.map(([name]) => nameFromText(name)),
      ),
    )
  }
  return found
}

/** States that are not the log's. */
export async function lacking(api: LogApi, states: readonly SeenState[]): Promise<SeenState[]> {
  const zones = new Map<string, SeenState[]>()
  for (const state of states) {
    const key = nameKey(state.zone)
    const others = zones.get(key)
    if (others === undefined) zones.set(key, [state])
    else others.push(state)
  }
  const missing: SeenState[] = []
  for (const of of zones.values()) {
    const known = await statesOf(
      api,
      of[0]!.zone,
      of.map(({ owner }) => owner),
    )
    for (const state of of) {
      const logged = known.get(nameToText(state.owner))
      // What was never signed is no news to a log.
      if (logged === undefined && state.ds.length === 0) continue
      if (logged?.toSorted().join() !== state.ds.toSorted().join()) missing.push(state)
    }
  }
  return missing
}

async function statesOf(
  api: LogApi,
  zone: Name,
  names: readonly Name[],
): Promise<Map<string, readonly string[]>> {
  if (names.length > FEW) return api.states(zone)
  const states = new Map<string, readonly string[]>()
  for (const name of names) {
    const { state } = await api.name(name)
    if (state !== null) states.set(nameToText(name), state.ds)
  }
  return states
}
