/**
 * The mailbox of the demo: a mail server that keeps what it is sent, a page that shows it as text with the
 * files attached, and a folder for those that are saved.
 */
import { createServer, type Server } from 'node:http'
import { join } from 'node:path'
import { ensureFolder, writeFileAtomic } from '@dslog/service/files'
import { closeServer, listenOnLoopback } from '@dslog/testbed/loopback'
import { SmtpSink, type SunkMail } from '@dslog/testbed/smtpsink'
import { counted } from '@dslog/verify/counted'

/** A mail as its reader sees it. */
export interface Mail {
  readonly to: string
  readonly subject: string
  /** The plain text. */
  readonly text: string
  /** Files attached, by name. */
  readonly files: ReadonlyMap<string, string>
}

/** See the head of this file. */
export class Mailbox {
  readonly #sink: SmtpSink
  readonly #page: Server
  readonly #folder: string
  #port = 0

  private constructor(sink: SmtpSink, folder: string) {
    this.#sink = sink
    this.#folder = folder
    this.#page = createServer((request, response) => {
      const file = this.#attached(request.url)
      if (file !== undefined) {
        response.writeHead(200, {
          'content-type': 'text/plain; charset=utf-8',
          'content-disposition': 'attachment',
        })
        return response.end(file)
      }
      response.writeHead(200, {
        'content-type': 'text/html; charset=utf-8',
        // Mails are somebody else's words: nothing in them runs, and nothing is fetched.
        'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'",
        'x-content-type-options': 'nosniff',
      })
      response.end(pageOf(this.mails))
    })
  }

  /** @param folder for attached files */
  static async start(folder: string): Promise<Mailbox> {
    await ensureFolder(folder, 0o700)
    const mailbox = new Mailbox(await SmtpSink.start(), folder)
    mailbox.#port = await listenOnLoopback(mailbox.#page)
    return mailbox
  }

  /** The page. */
  get url(): string {
    return `http://127.0.0.1:${this.#port}/`
  }

  /** Of the mail server. */
  get smtp(): string {
    return this.#sink.url
  }

  /** Oldest first. */
  get mails(): readonly Mail[] {
    return this.#sink.mails.map(mailOf)
  }

  /** Saves what is attached. @returns the path of the file */
  async save(name: string, content: string): Promise<string> {
    const path = join(this.#folder, name)
    await writeFileAtomic(path, content)
    return path
  }

  #attached(path: string | undefined): string | undefined {
    const files = this.mails.flatMap((mail) => [...mail.files])
    return files.find(([name]) => pathOf(name) === path)?.[1]
  }

  async stop(): Promise<void> {
    await closeServer(this.#page)
    await this.#sink.down()
  }
}

function mailOf({ headers, parts, to }: SunkMail): Mail {
  const files = parts.flatMap(({ content, filename }) =>
    filename === undefined ? [] : [[filename, content] as const],
  )
  const text = parts.find(({ filename, type }) => filename === undefined && type === 'text/plain')
  return {
    to: to.join(', '),
    subject: headers.get('subject') ?? '',
    text: (text?.content ?? '').replaceAll('\r\n', '\n').trim(),
    files: new Map(files),
  }
}

function pageOf(mails: readonly Mail[]): string {
  const shown = mails.toReversed().map(({ files, subject, text, to }) => {
    const attached = [...files.keys()].map(attachment).join('')
    const head = `<h2>${escaped(subject)}</h2><p>To: ${escaped(to)}</p>`
    return `<article>${head}<pre>${linked(text)}</pre>${attached}</article>`
  })
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Mailbox of the demo</title>
<style>:root{color-scheme:light dark}body{font:16px/1.5 system-ui;max-width:52rem;margin:2rem auto;padding:0 1rem}
pre{white-space:pre-wrap;overflow-wrap:anywhere;border:1px solid;padding:1rem}</style></head><body>
<h1>Mailbox of the demo</h1><p>${counted(mails.length, 'mail')}, the newest first. Reload to see new ones.</p>
${shown.join('\n')}</body></html>`
}

function attachment(name: string): string {
  return `<p>Attached: <a href="${escaped(pathOf(name))}">${escaped(name)}</a></p>`
}

/** Of an attached file, on the page's server. */
function pathOf(name: string): string {
  return `/attached/${encodeURIComponent(name)}`
}

function escaped(text: string): string {
  return text.replaceAll(/[&<>"']/g, (char) => `&#${char.codePointAt(0)};`)
}

/** Text with its web addresses as links. */
function linked(text: string): string {
  return escaped(text).replaceAll(/http:\/\/127\.0\.0\.1:\d+\/[\w/?=.@%-]*/g, '<a href="$&">$&</a>')
}
