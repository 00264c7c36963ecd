/** JSON lines on the standard output, for programs that read the monitor's: a line a message, with its id. */
import { type Channel, type Message, type Outcome, reasonOf, SENT } from './channel.ts'
import { bodyOf } from './webhook.ts'

export class StdoutChannel implements Channel {
  readonly #write: (line: string) => void

  constructor(write: (line: string) => void) {
    this.#write = write
  }

  async send(message: Message): Promise<Outcome> {
    try {
      const { id } = message
      this.#write(`${JSON.stringify({ id, ...(JSON.parse(bodyOf(message)) as object) })}\n`)
      return SENT
    } catch (error) {
      return { status: 'retry', reason: reasonOf(error) }
    }
  }
}
