/**
 * What the worker verifies, from nothing but what a log or a file shows and what the person trusts:
 * the same functions on the same bytes as `dslog history`, `prove` and `verify`. Each step is told when
 * it stands. What is between the page and a log (fetch, clock, signatures) is passed in.
 */
import { parseTlogProof, MAX_TLOG_PROOF_BYTES } from '@dslog/tlog/bundle'
import { equal } from '@dslog/tlog/bytes'
import { LogClient } from '@dslog/tlog/client'
import { TlogError } from '@dslog/tlog/error'
import { hashFromBase64 } from '@dslog/tlog/hash'
import { type Fetch, HttpClient } from '@dslog/tlog/http'
import { MisbehaviourError } from '@dslog/tlog/misbehaviour'
import { checkPolicy, parsePolicy, type Policy, type TrustedCheckpoint } from '@dslog/tlog/policy'
import { parseAnchors, ROOT_ANCHORS } from '@dslog/dnssec/anchors'
import type { SignatureBackend } from '@dslog/dnssec/backend/backend'
import { type Name, nameFromText, nameToText } from '@dslog/dnssec/name'
import { dsToText } from '@dslog/dnssec/records'
import { MapKind } from '@dslog/schema/identity'
import { counted } from '@dslog/verify/counted'
import { VerifyError } from '@dslog/verify/error'
import { dsOfPin, pinFromText } from '@dslog/verify/pins'
import { type ProofReport, type ProofStep, verifyProofFile } from '@dslog/verify/verify'
import { pathOf } from '@dslog/schema/path'
import type { Checked, Proven, Step, Task, Trust } from '../protocol.ts'
import { entryModel, entryModels, policyModel, treeModel } from './model.ts'
import { InputError } from './words.ts'

/** What the world provides. */
export interface Edges {
  readonly fetch: Fetch
  /** Milliseconds since the Unix epoch. */
  readonly now: () => number
  readonly random: () => number
  readonly backend: SignatureBackend
}

type Tell = (step: Step) => void

/** Does what was asked, telling each step. Throws what the packages below do, and InputError. */
export async function check(task: Task, edges: Edges, tell: Tell): Promise<Proven | Checked> {
  const start = edges.now()
  const done = (proven: Omit<Proven, 'took'>): Proven => ({ ...proven, took: edges.now() - start })
  switch (task.task) {
    case 'policy':
      return { policy: policyModel(parsePolicy(task.text)) }
    case 'anchors':
      return { anchors: parseAnchors(task.text).map(({ tag }) => tag) }
    case 'pins':
      return { allowed: await allowedBy(task.pins, nameFromText(task.name), edges) }
    case 'file':
      return done(await checkFile(task.file, task.trusts, edges, tell))
    case 'checkpoint':
      return done(await checkHead(task, edges, tell))
    case 'name':
    case 'zone':
    case 'entry':
      return done(await checkAnswer(task, edges, tell))
  }
}

async function allowedBy(pins: readonly string[], name: Name, edges: Edges): Promise<string[]> {
  const ds = pins.map((text) => dsOfPin(pinFromText(text), name, edges.backend))
  return (await Promise.all(ds)).flat().map(dsToText)
}

/** A log and what it is held against. */
class Log {
  readonly client: LogClient
  readonly policy: Policy
  readonly #trust: Trust
  readonly #http: HttpClient
  readonly #edges: Edges

  constructor(url: string, trust: Trust, edges: Edges) {
    this.policy = parsePolicy(trust.policy)
    this.#trust = trust
    this.#edges = edges
    // One retry: somebody waits, and can press a button.
    this.#http = new HttpClient(edges, { retries: 1, timeoutMs: 20_000 })
    this.client = new LogClient(url, this.policy, this.#http)
  }

  async file(path: string): Promise<Uint8Array> {
    const { body } = await this.#http.request(`${this.client.url}/${path}`, {
      maxBytes: MAX_TLOG_PROOF_BYTES,
      fresh: true,
    })
    return body
  }

  verify(file: Uint8Array, tell: Tell): Promise<ProofReport> {
    return verify(file, this.policy, this.#trust, this.#edges, tell)
  }

  /** Checks that what was shown now continues what this browser has seen, if it has seen anything. */
  async continues(now: TrustedCheckpoint, tell: Tell): Promise<{ continues?: number }> {
    const before = seenBefore(this.policy, this.#trust)
    if (before === undefined) {
      const words =
        this.#trust.seen === undefined
          ? 'This is the first tree of this log that this browser sees; it is remembered from now on.'
          : 'What this browser saw before does not satisfy your policy of today: comparison starts anew.'
      tell({ id: 'past', words })
      return {}
    }
    await this.client.succeed(before, now)
    const { size } = before.checkpoint
    tell({
      id: 'past',
      words:
        size === now.checkpoint.size
          ? 'It is the tree that this browser saw before.'
          : `It continues the tree of ${counted(size, 'entry', 'entries')} that this browser saw before: nothing in it was changed or taken away.`,
    })
    return { continues: size }
  }
}

function seenBefore(policy: Policy, { seen }: Trust): TrustedCheckpoint | undefined {
  if (seen === undefined) return undefined
  try {
    return checkPolicy(policy, seen)
  } catch (error) {
    if (error instanceof TlogError) return undefined
    throw error
  }
}

async function checkAnswer(
  task: Task & { task: 'name' | 'zone' | 'entry' },
  edges: Edges,
  tell: Tell,
): Promise<Omit<Proven, 'took'>> {
  const log = new Log(task.log, task.trust, edges)
  const name = task.task === 'entry' ? undefined : nameFromText(task.name)
  const path =
    name === undefined
      ? `v1/entries/${String((task as { index: number }).index)}/proof`
      : `v1/${task.task === 'zone' ? 'zones' : 'names'}/${pathOf(name)}/proof`
  const file = await log.file(path)
  tell({ id: 'answer', words: `The log answered with a proof of ${bytesText(file.length)}.` })
  const report = await log.verify(file, tell)
  if (!isAnswer(report, task, name)) {
    throw new VerifyError('proof', 'the log answered with another proof than was asked for')
  }
  const past = await log.continues(report.trusted, tell)
  return { ...provenOf(report, log.policy), ...past, trust: task.trust, file }
}

/** A valid proof of something else is no answer. */
function isAnswer(report: ProofReport, task: Task, name: Name | undefined): boolean {
  if (report.kind === 'entry') return task.task === 'entry' && report.index === task.index
  const kind = task.task === 'zone' ? MapKind.zoneKeys : MapKind.delegation
  return name !== undefined && report.mapKind === kind && equal(report.name, name)
}

async function checkHead(
  task: Task & { task: 'checkpoint' },
  edges: Edges,
  tell: Tell,
): Promise<Omit<Proven, 'took'>> {
  const log = new Log(task.log, task.trust, edges)
  const trusted = await log.client.checkpoint()
  tell({ id: 'checkpoint', words: signedWords(trusted, log.policy) })
  const past = await log.continues(trusted, tell)
  if (task.view !== undefined) {
    const { root, size } = task.view
    if (size > trusted.checkpoint.size) {
      const words = `The monitor has verified ${counted(size, 'entry', 'entries')}, more than the log shows here.`
      throw new VerifyError('proof', words)
    }
    const own = await log.client.tree(trusted).subtreeHash(0, size)
    if (!equal(own, hashFromBase64(root))) {
      throw new VerifyError('proof', 'the monitor verified another tree than the log shows here')
    }
    tell({
      id: 'monitor',
      words: `The monitor verified the same tree, up to ${counted(size, 'entry', 'entries')} of ${trusted.checkpoint.size}.`,
    })
  }
  const tree = treeModel(trusted, log.policy)
  return { kind: 'checkpoint', tree, entries: [], ...past, trust: task.trust }
}

async function checkFile(
  file: Uint8Array,
  trusts: Readonly<Record<string, Trust>>,
  edges: Edges,
  tell: Tell,
): Promise<Omit<Proven, 'took'>> {
  const origin = parseTlogProof(file).checkpoint.split('\n', 1)[0] ?? ''
  tell({ id: 'answer', words: `A proof file of ${bytesText(file.length)}, by ${origin}.` })
  const trust = Object.hasOwn(trusts, origin) ? trusts[origin] : undefined
  if (trust === undefined) {
    throw new InputError(
      `You have no policy for ${origin}. Visit that log once, or paste its policy under Trust.`,
    )
  }
  const policy = parsePolicy(trust.policy)
  const report = await verify(file, policy, trust, edges, tell)
  const before = seenBefore(policy, trust)
  const { note, checkpoint } = report.trusted
  if (before?.checkpoint.size === checkpoint.size) {
    if (!equal(before.checkpoint.root, checkpoint.root)) {
      const evidence = { smaller: before.note, larger: note }
      throw new MisbehaviourError(
        { kind: 'fork', evidence },
        `${origin} signed two trees of ${checkpoint.size} entries`,
      )
    }
    tell({ id: 'past', words: 'It is the tree that this browser saw last.' })
  }
  return { ...provenOf(report, policy), trust, file }
}

function verify(
  file: Uint8Array,
  policy: Policy,
  trust: Trust,
  { backend, now }: Edges,
  tell: Tell,
): Promise<ProofReport> {
  const anchors = trust.anchors === undefined ? ROOT_ANCHORS : parseAnchors(trust.anchors)
  let entries = 0
  const onStep = (step: ProofStep): void => {
    switch (step.step) {
      case 'checkpoint':
        return tell({ id: 'checkpoint', words: signedWords(step.trusted, policy) })
      case 'map':
        entries = step.entries
        tell({ id: 'map', words: completeWords(entries) })
        // Else the next step that fails would look like this one.
        if (entries === 0) tell({ id: 'evidence', words: 'So there are no signatures to check.' })
        return
      case 'entry':
        return tell({
          id: 'evidence',
          words: evidenceWords(step.done, entries),
          more: step.done < entries,
        })
    }
  }
  return verifyProofFile(file, { policy, anchors, backend, now: now(), onStep })
}

function provenOf(report: ProofReport, policy: Policy): Omit<Proven, 'took' | 'trust'> {
  if (report.kind === 'entry') {
    const tree = treeModel(report.trusted, policy)
    return { kind: 'entry', tree, entries: [entryModel(report)] }
  }
  return {
    kind: report.mapKind === MapKind.zoneKeys ? 'zone' : 'name',
    tree: treeModel(report.trusted, policy, report.time),
    entries: entryModels(report.history),
    name: nameToText(report.name),
  }
}

function signedWords({ checkpoint, witnesses }: TrustedCheckpoint, { quorum }: Policy): string {
  const { origin, size } = checkpoint
  const signed = `Signed by ${origin}: a tree of ${counted(size, 'entry', 'entries')}`
  if (witnesses.length > 0) {
    const names = witnesses.map(({ name }) => name).join(', ')
    return `${signed}, confirmed by ${names}${quorum === undefined ? '' : ', as your policy asks'}.`
  }
  return `${signed}. No witness has confirmed it, and your policy asks for none.`
}

function completeWords(entries: number): string {
  if (entries === 0) return 'The signed index of all names holds nothing for this one.'
  const all =
    entries === 1 ? 'exactly one entry' : `exactly these ${counted(entries, 'entry', 'entries')}`
  return `The signed index of all names holds ${all} for this one: nothing was left out.`
}

function evidenceWords(done: number, entries: number): string {
  const all = counted(entries, 'entry', 'entries')
  const what = entries > 1 ? `${done} of ${all} are` : 'The entry is'
  return `${what} in the tree, and signed by DNSSEC all the way up to a root key you trust.`
}

function bytesText(bytes: number): string {
  return bytes < 1000 ? `${bytes} bytes` : `${(bytes / 1000).toFixed(1)} kB`
}
