/**
 * Scripts of the operator's own: each message is one run of a program, without a shell and without
 * arguments, with the message as JSON on its standard input, as webhooks have it, and the main facts in
 * its environment. What comes from strangers, such as names, is there in presentation form, one line.
 *
 *   DSLOG_MESSAGE  id, the same at each attempt     DSLOG_RULE    of an alert
 *   DSLOG_TYPE     alert.raised, …                  DSLOG_LEVEL   of an alert
 *   DSLOG_NAME     whose delegation it is about     DSLOG_INDEX   entry, if it is about one
 *
 * 0 is taken; any other end is tried again.
 */
import { spawn } from 'node:child_process'
import { firstOf } from '@dslog/resolver/abort'
import { type Channel, type Message, type Outcome, reasonOf, SENT } from './channel.ts'
import { bodyOf } from './webhook.ts'

/** Where a script finds its programs; of the monitor's own environment it gets nothing. */
const SEARCH_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/** Longest run, ms. */
const TIMEOUT_MS = 30_000

export class HookChannel implements Channel {
  async send(message: Message, signal: AbortSignal): Promise<Outcome> {
    const end = firstOf(signal, AbortSignal.timeout(TIMEOUT_MS))
    try {
      const { target } = message.channel
      const failure = await run(target, environmentOf(message), bodyOf(message), end.signal)
      return failure === undefined ? SENT : { status: 'retry', reason: failure }
    } catch (error) {
      return { status: 'retry', reason: reasonOf(error) }
    } finally {
      end.release()
    }
  }
}

function environmentOf({ content, id }: Message): NodeJS.ProcessEnv {
  const isAlert = 'alert' in content
  return {
    PATH: SEARCH_PATH,
    DSLOG_MESSAGE: id,
    DSLOG_TYPE: isAlert ? `alert.${content.type}` : content.type,
    DSLOG_NAME: isAlert ? content.alert.name : content.name,
    ...(isAlert && { DSLOG_RULE: content.alert.rule, DSLOG_LEVEL: content.alert.level }),
    ...(isAlert && content.alert.index !== null && { DSLOG_INDEX: String(content.alert.index) }),
  }
}

/** Runs a program to its end; says what was wrong with it. */
function run(
  path: string,
  env: NodeJS.ProcessEnv,
  input: string,
  signal: AbortSignal,
): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    const child = spawn(path, [], {
      env,
      signal,
      killSignal: 'SIGKILL',
      stdio: ['pipe', 'ignore', 'ignore'],
    })
    child.on('error', reject)
    child.on('close', (code, killedBy) => {
      resolve(code === 0 ? undefined : `${path} ended with ${code ?? killedBy ?? 'nothing'}`)
    })
    // A program may end without reading its input.
    child.stdin.on('error', () => {})
    child.stdin.end(input)
  })
}
