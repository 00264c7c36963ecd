/**
 * Watching a name, from the explorer to the mail of a change, as its owner does it: in a browser, with
 * the links that the mails hold and no knowledge of any API.
 */
import type { Browser, Page } from 'playwright'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { SunkMail } from '@dslog/testbed/smtpsink'
import { MINUTE } from '@dslog/schema/time'
import {
  barriers,
  canBrowse,
  expectVerified,
  launch,
  takePicture,
  Visitor,
  widthOf,
} from './browser.ts'
import { Stage } from './stage.ts'

const OWNER = 'owner@elsewhere.example'

describe.runIf(canBrowse())('watching a name', () => {
  let stage: Stage
  let browser: Browser
  let visitor: Visitor
  let page: Page

  beforeAll(async () => {
    ;[stage, browser] = await Promise.all([Stage.open(), launch()])
    visitor = await Visitor.come(browser)
    page = await visitor.open(stage.url, '#/name/bank.fi.')
  })
  afterAll(async () => {
    await browser.close()
    await stage.close()
  })

  /** The mail of a subject, once it has come. */
  async function mail(subject: RegExp): Promise<{ subject: string; text: string } & SunkMail> {
    const find = () =>
      stage.mailbox.mails.find(({ headers }) => subject.test(headers.get('subject') ?? ''))
    const look = () => {
      // A monitor waits some minutes before it says what may explain itself.
      stage.net.clock.advance(MINUTE)
      return find()
    }
    const message = `a mail: ${subject}`
    await expect.poll(look, { interval: 500, message }).toBeDefined()
    const found = find()!
    const text = found.parts.find(({ type }) => type === 'text/plain')!.content
    return { ...found, subject: found.headers.get('subject')!, text }
  }

  const linkOf = (text: string, kind: string): string =>
    new RegExp(`${stage.monitor}/${kind}/\\S+`).exec(text)![0]

  /** Nothing bars anybody from a page, by day and by night, nor is it wider than a small screen. */
  const expectOpenToAll = async (shown: Page): Promise<void> => {
    for (const colorScheme of ['light', 'dark'] as const) {
      await shown.emulateMedia({ colorScheme })
      expect(await barriers(shown), colorScheme).toEqual([])
    }
    await shown.emulateMedia({ colorScheme: 'light' })
    const before = shown.viewportSize()!
    await shown.setViewportSize({ width: 320, height: 640 })
    expect(await widthOf(shown), shown.url()).toBeLessThanOrEqual(320)
    await shown.setViewportSize(before)
  }

  test('what is no name and no address is told so, and nothing is sent', async () => {
    await page.getByRole('link', { name: 'Watch this name' }).click()
    await page.getByLabel('Where to').waitFor()
    expect(await page.getByLabel('Domain name').last().inputValue()).toBe('bank.fi.')
    await page.getByLabel('Domain name').last().fill('no domain!')
    await page.getByLabel('Where to').fill(OWNER)
    await page.getByRole('button', { name: 'Subscribe' }).click()
    await page.getByRole('alert').getByText('takes a domain name').waitFor()
    await page.getByLabel('Domain name').last().fill('bank.fi')
    await page.getByLabel('Where to').fill('somebody')
    await page.getByRole('button', { name: 'Subscribe' }).click()
    await page
      .getByRole('alert')
      .getByText(/answered: .*channel/)
      .waitFor()
    await page.locator(':focus', { hasText: /^Subscribe$/ }).waitFor()
    expect(stage.mailbox.attempts).toBe(0)
  })

  test('a subscription is asked for, and nothing but the question is sent', async () => {
    await page.getByLabel('Where to').fill(OWNER)
    expect(await page.getByRole('alert').count()).toBe(0)
    await page.getByLabel('What for').selectOption({ label: 'What deserves a look' })
    await takePicture(page, 'watch')
    const asked = page.waitForRequest((request) => request.method() === 'POST')
    await page.getByRole('button', { name: 'Subscribe' }).click()
    expect((await asked).postDataJSON()).toEqual({
      name: 'bank.fi.',
      channel: OWNER,
      levels: ['NOTICE'],
    })
    await page.getByRole('heading', { name: 'One step is left' }).waitFor()
    await page.locator(':focus', { hasText: /^One step is left$/ }).waitFor()
    expect(await page.locator('main').innerText()).toContain(`sends a message to ${OWNER}`)
    const question = await mail(/^Please confirm/)
    expect(question.subject).toBe('Please confirm: watch bank.fi.')
    expect(question.to).toEqual([OWNER])
    expect(stage.mailbox.mails).toHaveLength(1)
  })

  test('the link in the mail asks, and its button confirms', async () => {
    const { text } = await mail(/^Please confirm/)
    await page.goto(linkOf(text, 'confirm'))
    await page.getByRole('heading', { name: 'Confirm' }).waitFor()
    // Mail scanners follow links: what was opened has done nothing, and can be opened again.
    await page.reload()
    await page.getByRole('button', { name: 'Confirm' }).click()
    await page.getByText('This channel is told from now on.').waitFor()
    const token = await page.locator('code').first().innerText()
    expect(token).toMatch(/^[\w-]{40,}$/)
    await page.getByRole('link', { name: 'Manage the subscription' }).click()
    await page.getByLabel('Token of the subscription').fill(`${token.slice(0, -1)}!`)
    await page.getByRole('button', { name: 'Open' }).click()
    await page.getByRole('alert').waitFor()
    await page.getByLabel('Token of the subscription').fill(token)
    await page.getByRole('button', { name: 'Open' }).click()
    await page.getByRole('heading', { name: 'bank.fi.' }).waitFor()
    await takePicture(page, 'manage')
    await expectOpenToAll(page)
    expect(await page.locator('table').innerText()).toMatch(`${OWNER}\tactive, from NOTICE on`)
    // The link does it once.
    const again = await page.context().newPage()
    await again.goto(linkOf(text, 'confirm'))
    await again.getByRole('button', { name: 'Confirm' }).click()
    await again.getByRole('heading', { name: 'Nothing was done' }).waitFor()
    await again.close()
  })

  test('a change is mailed with its proof, and shown where it is managed', async () => {
    await stage.change('bank.fi.', 7)
    const alert = await mail(/^(HIGH|CRITICAL): /)
    expect(alert.subject).toContain('bank.fi.')
    const proof = alert.parts.find(({ filename }) => filename?.endsWith('.tlog-proof'))
    // Whoever gets the mail verifies it in the explorer, where nothing is asked of anybody.
    const reader = await visitor.open(stage.url, '#/verify')
    await reader.setInputFiles('#proof', {
      name: proof!.filename!,
      mimeType: 'text/plain',
      buffer: Buffer.from(proof!.content),
    })
    await expectVerified(reader)
    // An entry alone does not say what it changed.
    const entry = reader.locator('section.entry')
    expect(await entry.getByRole('heading').innerText()).toBe('bank.fi. has 1 DS record')
    expect(await entry.locator('.came, .went').count()).toBe(0)

    await page.goto(linkOf(alert.text, 'ack'))
    await page.getByRole('button', { name: 'That was me' }).click()
    await page.getByRole('heading', { name: 'Acknowledged' }).waitFor()
  })

  test('one click in the mail ends it', async () => {
    const { text } = await mail(/^(HIGH|CRITICAL): /)
    await page.goto(linkOf(text, 'unsubscribe'))
    await page.getByRole('button', { name: 'Unsubscribe' }).click()
    await page.getByRole('heading', { name: 'Unsubscribed' }).waitFor()
    expect(visitor.errors.filter((line) => !/status of 4\d\d/.test(line))).toEqual([])
  })
})
