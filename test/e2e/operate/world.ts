/**
 * What is around an operator, run within the machine: a small signed internet at the DNS's own port, whose root and `fi.`
 * are what the log is about, and a mail server. Zone files of years ago are written to the folder of the first argument.
 *
 * Told by lines on standard input: `swap` gives fi. another key, unannounced, `back` the one before. Tells each mail in a
 * line of JSON.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { gzipSync } from 'node:zlib'
import { formatAnchors } from '@dslog/dnssec/anchors'
import { TestClock } from '@dslog/testbed/clock'
import { Internet } from '@dslog/testbed/internet'
import { NameServers } from '@dslog/testbed/nameserver'
import { SmtpSink } from '@dslog/testbed/smtpsink'
import { MINUTE } from '@dslog/schema/time'

/** A minute ago, so that nothing is from the future. */
const LAG_MS = MINUTE

const [folder = '.'] = process.argv.slice(2)
mkdirSync(folder, { recursive: true })

const clock = new TestClock(Date.UTC(2019, 5, 1))
const net = new Internet({ clock, servers: 1 })
const fi = net.addZone('fi.')
net.addZone('se.')
writeFileSync(join(folder, 'anchors'), formatAnchors(net.anchors))
const writeRoot = (year: number): void => {
  const text = net.root.sign().toText()
  writeFileSync(join(folder, `root-${year}.zone.gz`), gzipSync(text))
}
writeRoot(2019)
clock.set(Date.UTC(2024, 5, 1))
net.rekey(fi, 2, 13)
writeRoot(2024)
clock.set(Date.now() - LAG_MS)
for (const zone of net.zones) zone.sign()

const servers = await NameServers.start(net, () => Date.now())
const mail = await SmtpSink.start(25)
const tell = (event: object): void => void process.stdout.write(`${JSON.stringify(event)}\n`)
tell({ event: 'ready', root: net.root.servers[0]!.addresses[0], port: servers.port })

let told = 0
setInterval(() => {
  for (const { headers, parts, to } of mail.mails.slice(told)) {
    const [body] = parts
    tell({ event: 'mail', to, subject: headers.get('subject'), text: body?.content })
    told++
  }
}, 200)

const KEYS: Readonly<Record<string, number>> = { back: 2, swap: 3 }
for await (const line of createInterface(process.stdin)) {
  clock.set(Date.now() - LAG_MS)
  net.rekey(fi, KEYS[line]!, 13)
}
