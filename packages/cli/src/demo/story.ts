/**
 * What happens in the demo, in four steps. Whatever is told was asked of the services over HTTP, or
 * verified here, from the policy and the trust anchors alone; a step that does not come out as told ends
 * the demo with a failure.
 */
import { utf8 } from '@dslog/tlog/bytes'
import { LogClient } from '@dslog/tlog/client'
import { ALGORITHM } from '@dslog/dnssec/backend/backend'
import { nameFromText } from '@dslog/dnssec/name'
import { dsToText, TYPE } from '@dslog/dnssec/records'
import { HOUR, MINUTE } from '@dslog/schema/time'
import { decodeFinding, verifyFinding } from '@dslog/monitor/evidence'
import { dsOf, KSK, type ZoneKey, zoneKey } from '@dslog/testbed/key'
import { LyingLog } from '@dslog/testbed/lyinglog'
import { historyLines } from '@dslog/verify/describe'
import { type ProvenEntry, verifyProofFile } from '@dslog/verify/verify'
import { reportLines } from '../command/verify.ts'
import { proveName } from '../proof.ts'
import { servedAt } from '../source.ts'
import { Api, type Subscription } from './api.ts'
import type { Mail } from './mailbox.ts'
import { BANK, OTHERS, type Stage, UNSIGNED } from './stage.ts'
import type { Teller } from './teller.ts'

/** How long ago the story begins, ms: longer than all that happens in it. */
export const STORY_MS: number = 12 * HOUR

/** Within this time the crawler has asked for a watched name again, and the monitor for what it watches. */
const CRAWLED_AGAIN = 14 * MINUTE
const PROBED_AGAIN = 80 * MINUTE

/** Where the bank reads its alerts: not under the name that they are about. */
const OWNER = 'dns@bank-operations.example'

/** See the head of this file. */
export class Story {
  readonly #stage: Stage
  readonly #teller: Teller
  readonly #api: Api
  readonly #name = nameFromText(BANK)
  #subscription: Subscription | undefined
  /** Entry that swapped the keys of the bank. */
  #swap = -1

  constructor(stage: Stage, teller: Teller) {
    this.#stage = stage
    this.#teller = teller
    this.#api = new Api(stage.places, stage.token)
  }

  /** @throws Failure for a step that does not come out as told */
  async tell(): Promise<void> {
    await this.#baseline()
    await this.#roll()
    await this.#swapped()
    await this.#fork()
    this.#stage.clock.advance(this.#stage.clock.behind)
  }

  /** Of the bank. */
  get subscription(): Subscription {
    return this.#subscription!
  }

  async #baseline(): Promise<void> {
    const teller = this.#teller
    teller.begin('baseline', 1, 'The log is filled, and a bank asks to be told of changes')
    await this.#api.watch([BANK])
    for (const name of [BANK, ...OTHERS]) {
      const history = await this.#history(name, 1)
      teller.expect(history.length === 1, `one entry of ${name}`)
      const [line] = historyLines(history)
      teller.tell(
        'logged',
        `${name} has one entry in the log, and the log proves that there is no other`,
        {
          name,
          index: history[0]!.index,
        },
      )
      if (name === BANK) teller.show(line!)
    }
    const nothing = await this.#history(UNSIGNED, 0)
    teller.expect(nothing.length === 0, `nothing about ${UNSIGNED}`)
    teller.tell(
      'absent',
      `${UNSIGNED} has no DNSSEC: the log proves that it has nothing about it`,
      {
        name: UNSIGNED,
      },
    )

    await teller.until('the monitor has verified all of it', async () => {
      const { backlog, size, state } = await this.#api.status()
      return state === 'following' && backlog === 0 && size > 1 ? size : undefined
    })
    const { id } = await this.#api.subscribe(BANK, OWNER)
    teller.tell('subscribed', `The bank asks the monitor to watch ${BANK} and to mail ${OWNER}`)
    const mail = await this.#mail('a mail that asks for confirmation', /^Please confirm/)
    const token = /\/confirm\/\S+\?token=(\S+)/.exec(mail.text)?.[1]
    teller.expect(token !== undefined, 'a link to confirm in the mail')
    const confirmed = await this.#api.confirm(id, token!)
    teller.expect(confirmed.token !== undefined, 'a token of the subscription')
    this.#subscription = { id: confirmed.id, token: confirmed.token! }
    teller.tell('confirmed', 'It follows the link in the mail it gets, and so confirms')
    await this.#mail('a mail with what the log has', /\bhistory\b|^NOTICE/i)
    await this.#probed(0)
    teller.done()
  }

  async #roll(): Promise<void> {
    const { bank, clock, mailbox, registry } = this.#stage
    const teller = this.#teller
    teller.begin('roll', 2, 'The bank rolls its key, as one should: announced first')
    const before = mailbox.mails.length
    const [old] = bank.keys as readonly [ZoneKey]
    const next = bank.makeKey(KSK, ALGORITHM.ECDSAP256SHA256, 2)
    const [oldDs, nextDs] = [dsOf(this.#name, old), dsOf(this.#name, next)]

    bank.setKeys([old], [next])
    this.#askParent([oldDs, nextDs])
    teller.tell(
      'announced',
      `It publishes its next key, ${next.tag}, and asks the registry for it (CDS), signed with the key it has`,
    )
    await this.#probed(PROBED_AGAIN)
    registry.delegate(this.#name, [oldDs, nextDs])
    clock.advance(CRAWLED_AGAIN)
    const [added] = (await this.#history(BANK, 2)).slice(-1)
    teller.tell('logged', 'The registry adds the DS of that key; the log has it', {
      name: BANK,
      index: added!.index,
    })
    await this.#quietly('R5', added!.index)

    bank.setKeys([next])
    this.#askParent([nextDs])
    await this.#probed(PROBED_AGAIN)
    registry.delegate(this.#name, [nextDs])
    clock.advance(CRAWLED_AGAIN)
    const history = await this.#history(BANK, 3)
    teller.tell('logged', 'The old DS is withdrawn; the log has that, too', {
      name: BANK,
      index: history.at(-1)!.index,
    })
    await this.#quietly('R9', history.at(-1)!.index)
    const mails = mailbox.mails.slice(before).map(({ subject, to }) => `"${subject}" to ${to}`)
    teller.expect(mails.length === 0, `no mail to anybody, but there is ${mails.join(' and ')}`)
    teller.tell('quiet', 'No mail was sent: an ordinary change wakes nobody', {
      mails: mails.length,
    })
    teller.done()
  }

  async #swapped(): Promise<void> {
    const { clock, mailbox, registry, verifier } = this.#stage
    const teller = this.#teller
    teller.begin('swap', 3, 'The registry is forced to swap the DS record of the bank')
    const rogue = zoneKey({ algorithm: ALGORITHM.ECDSAP256SHA256, flags: KSK, seed: 'rogue' })
    const ds = dsOf(this.#name, rogue)
    registry.delegate(this.#name, [ds])
    teller.tell('swapped', `The DS of ${BANK} now names a key that the bank does not have`, {
      ds: dsToText(ds),
    })
    clock.advance(CRAWLED_AGAIN)
    const history = await this.#history(BANK, 4)
    const { index } = history.at(-1)!
    this.#swap = index
    teller.tell(
      'logged',
      `The crawler sees it: entry ${index} of the log has it, with the registry's own signature`,
      {
        name: BANK,
        index,
      },
    )
    const mail = await this.#mail('an alarm', /^(HIGH|CRITICAL):/, 2 * MINUTE)
    const alert = (await this.#api.alerts(this.subscription)).find((each) => each.index === index)
    teller.expect(alert?.level === 'CRITICAL', `a CRITICAL alert, not ${alert?.level}`)
    teller.tell('alert', `The monitor mails the bank: ${mail.subject}`, {
      rule: alert!.rule,
      level: alert!.level,
      subject: mail.subject,
      to: mail.to,
    })
    teller.show(mail.text)

    const [attached] = mail.files
    teller.expect(attached !== undefined, 'a proof attached to the mail')
    const [filename, content] = attached!
    const file = await mailbox.save(filename, content)
    const report = await verifyProofFile(utf8(content), verifier)
    teller.expect(report.kind === 'entry' && report.index === index, 'a proof of that entry')
    teller.tell(
      'verified',
      `Its attachment proves it, without any server: dslog verify ${filename}`,
      {
        file,
        index,
      },
    )
    teller.show(reportLines(report).join('\n'))
    teller.done()
  }

  async #fork(): Promise<void> {
    const { key, policy, view } = this.#stage
    const teller = this.#teller
    teller.begin('fork', 4, 'The operator of the log is forced to hide it')
    const lie = new LyingLog(key).append(...(await this.#without(this.#swap)))
    const note = lie.sign()
    view.shown = (path) => lie.fetch(path, {})
    teller.tell(
      'forked',
      `He signs a second history without entry ${this.#swap}, with the log's own key, and shows it to the monitor`,
      {
        size: lie.size,
      },
    )
    const piece = await teller.until('the monitor catches it', async () => {
      return (await this.#api.evidence())[0]
    })
    const finding = decodeFinding(piece.kind, JSON.stringify(piece.evidence))
    verifyFinding(
      finding,
      policy.logs.map((log) => log.key),
    )
    teller.expect(finding.kind === 'fork', `a fork, not ${finding.kind}`)
    const notes = finding.kind === 'fork' ? [finding.evidence.smaller, finding.evidence.larger] : []
    teller.expect(notes.includes(note), 'the second history in the evidence')
    teller.tell(
      'caught',
      'The monitor catches him, and keeps both signatures: together they prove it to anyone',
      {
        kind: piece.kind,
        notes,
      },
    )
    for (const each of notes) teller.show(`${each.trimEnd()}\n`)
    const { state } = await this.#api.status()
    teller.expect(state === 'misbehaving', `the monitor calls the log misbehaving, not ${state}`)
    const alarm = await this.#mail('an alarm to the operator', /\blog\b/i, MINUTE, 'operator@')
    teller.tell('alarm', `Whoever runs the monitor is told: ${alarm.subject}`, {
      subject: alarm.subject,
    })
    teller.done()
  }

  /** CDS of the bank. */
  #askParent(ds: readonly Uint8Array[]): void {
    const { bank } = this.#stage
    bank.remove(this.#name, TYPE.CDS)
    const record = { owner: this.#name, type: TYPE.CDS, class: 1, ttl: 3600 }
    bank.add(...ds.map((rdata) => ({ ...record, rdata })))
  }

  /** All that is logged of a name, verified, when it is so many entries. */
  #history(text: string, count: number): Promise<readonly ProvenEntry[]> {
    const { places } = this.#stage
    const source = servedAt(places.log, this.#stage.http())
    // A crawler that was at the name when the clock went on asks again later than was to be expected.
    return this.#teller.until(
      `${count} entries of ${text}`,
      async () => {
        const proof = await proveName(source, nameFromText(text), this.#stage.verifier)
        return proof.report.history.length >= count ? proof.report.history : undefined
      },
      MINUTE,
    )
  }

  /** Entries of the log as they are, but for one: as many, so that the last stands in for it. */
  async #without(index: number): Promise<Uint8Array[]> {
    const { places, policy } = this.#stage
    const client = new LogClient(places.log, policy, this.#stage.http())
    const trusted = await client.checkpoint()
    const entries: Uint8Array[] = []
    for await (const { entry } of client.entries(0, trusted.checkpoint.size, trusted)) {
      entries.push(entry)
    }
    return [...entries.filter((_, i) => i !== index), entries.at(-1)!]
  }

  /** A mail that was not there before. */
  async #mail(what: string, subject: RegExp, pace = 0, to = ''): Promise<Mail> {
    const { mailbox } = this.#stage
    const from = mailbox.mails.length
    const isIt = (mail: Mail): boolean => subject.test(mail.subject) && mail.to.startsWith(to)
    return this.#teller.until(
      what,
      async () => mailbox.mails.slice(Math.max(0, from - 1)).find(isIt),
      pace,
    )
  }

  /** Time passes, and the monitor has asked the servers of the bank. */
  async #probed(ms: number): Promise<void> {
    const { clock, servers } = this.#stage
    const count = (): number => servers.questions.filter(({ type }) => type === TYPE.CDS).length
    const before = ms === 0 ? 0 : count()
    clock.advance(ms)
    const isAsked = async (): Promise<true | undefined> => count() > before || undefined
    await this.#teller.until('the monitor asks for CDS', isAsked, MINUTE)
  }

  /** The monitor has judged an entry, and found it worth no more than a line in a summary. */
  async #quietly(rule: string, index: number): Promise<void> {
    const alert = await this.#teller.until(
      `the monitor judges entry ${index}`,
      async () => (await this.#api.alerts(this.subscription)).find((each) => each.index === index),
      20 * MINUTE,
    )
    this.#teller.expect(
      alert.rule === rule && alert.level === 'INFO',
      `${rule} INFO of entry ${index}, not ${alert.rule} ${alert.level}`,
    )
    this.#teller.tell('judged', `The monitor finds that in order (${alert.level}): ${alert.why}`, {
      rule,
      level: alert.level,
      index,
    })
  }
}
