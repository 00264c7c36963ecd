import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Mailbox } from '../src/demo/mailbox.ts'

const FILE = 'bank.example-<7>.tlog-proof'
const MAIL = [
  'From: a@monitor.example',
  'To: b@bank.example',
  'Subject: a <b>swap</b>',
  'Content-Type: multipart/mixed; boundary=part',
  '',
  '--part',
  'Content-Type: text/plain; charset=utf-8',
  '',
  'See http://127.0.0.1:8081/ack/1 & <i>act</i>',
  '--part',
  `Content-Type: text/plain; name="${FILE}"`,
  `Content-Disposition: attachment; filename="${FILE}"`,
  '',
  'the proof',
  '--part--',
]

/** Sends a mail, line by line (RFC 5321). */
async function send(url: string, lines: readonly string[]): Promise<void> {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  const answers = createInterface({ input: socket })[Symbol.asyncIterator]()
  // Of several lines the last has a space behind its code.
  const answered = async (): Promise<void> => {
    for (;;) {
      const { value } = await answers.next()
      if (/^\d{3} /.test(String(value))) return
    }
  }
  await answered()
  const said = ['EHLO here', 'MAIL FROM:<a@monitor.example>', 'RCPT TO:<b@bank.example>', 'DATA']
  for (const line of [...said, `${lines.join('\r\n')}\r\n.`]) {
    socket.write(`${line}\r\n`)
    await answered()
  }
  socket.end('QUIT\r\n')
  await once(socket, 'close')
}

describe('the mailbox of the demo', () => {
  let folder: string
  let mailbox: Mailbox

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'dslog-mailbox-'))
    mailbox = await Mailbox.start(folder)
  })
  afterEach(async () => {
    await mailbox.stop()
    rmSync(folder, { recursive: true, force: true })
  })

  it('shows mails as text, and gives what is attached to them', async () => {
    await send(mailbox.smtp, MAIL)
    const answer = await fetch(mailbox.url)
    expect(answer.headers.get('content-security-policy')).toContain("default-src 'none'")
    const page = await answer.text()
    expect(page).toContain('1 mail')
    expect(page).not.toMatch(/<b>|<i>/)
    expect(page).toContain('<a href="http://127.0.0.1:8081/ack/1">')
    const path = /href="(\/attached\/[^"]+)"/.exec(page)?.[1]
    const file = await fetch(new URL(path!, mailbox.url))
    expect(file.headers.get('content-disposition')).toBe('attachment')
    expect((await file.text()).trim()).toBe('the proof')
  })

  it.each(['/attached/other', '/attached/%', '/attached/', '/elsewhere'])(
    'answers %s with its page',
    async (path) => {
      const answer = await fetch(`${mailbox.url}${path.slice(1)}`)
      expect(answer.headers.get('content-type')).toContain('text/html')
      expect(await answer.text()).toContain('Mailbox of the demo')
    },
  )
})
