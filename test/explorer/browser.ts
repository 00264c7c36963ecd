/** Visits to the explorer in Chromium, which are watched. */
import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import axe from 'axe-core'
import { type Browser, type BrowserContext, chromium, type Locator, type Page } from 'playwright'
import { CHROMIUM, hasChromium } from '../browser/chromium.ts'
import { REPOSITORY } from '../repository.ts'

/** Folder of the built page. */
export const SITE = join(REPOSITORY, 'packages/web/dist/site')

const images = join(REPOSITORY, 'docs/img')

/** People load them with the README. */
const MAX_PICTURE_BYTES = 100_000

/** Whether there is a browser, and a page to look at. Prints why not. */
export function canBrowse(): boolean {
  const isBuilt = existsSync(join(SITE, 'index.html'))
  if (!isBuilt) console.log('skipped: no page (npm run build)')
  return hasChromium() && isBuilt
}

export function launch(): Promise<Browser> {
  return chromium.launch(CHROMIUM)
}

/** Somebody's browser, and all that it did that a visitor would not want. */
export class Visitor {
  readonly page: Page
  /** Errors on the console, breaches of the content policy among them. */
  readonly errors: string[] = []
  /** Hosts that were asked. */
  readonly hosts: Set<string> = new Set()
  readonly #context: BrowserContext

  private constructor(context: BrowserContext, page: Page) {
    this.#context = context
    this.page = page
    page.on('console', (message) => {
      if (message.type() === 'error') this.errors.push(message.text())
    })
    page.on('pageerror', (error) => this.errors.push(String(error)))
    context.on('request', (request) => this.hosts.add(new URL(request.url()).host))
  }

  static async come(
    browser: Browser,
    options: Parameters<Browser['newContext']>[0] = {},
  ): Promise<Visitor> {
    const context = await browser.newContext({
      viewport: { width: 1000, height: 760 },
      ...options,
    })
    context.setDefaultTimeout(20_000)
    return new Visitor(context, await context.newPage())
  }

  /** Opens a page of the explorer; the first time the anchors of the test have to be accepted. */
  async open(url: string, hash = '#/'): Promise<Page> {
    await this.page.goto(`${url}/${hash}`)
    const accept = this.page.getByRole('button', { name: 'Use its test anchors for this log' })
    const strip = this.page.getByText('Test anchors are in use')
    await accept.or(strip).first().waitFor()
    if (await accept.isVisible()) await accept.click()
    return this.page
  }

  leave(): Promise<void> {
    return this.#context.close()
  }
}

/** Takes a picture of docs/img anew, with `DSLOG_TEST_WRITE=1`. */
export async function takePicture(page: Page, name: string): Promise<void> {
  if (process.env['DSLOG_TEST_WRITE'] !== '1') return
  const path = join(images, `${name}.png`)
  await page.mouse.move(0, 0)
  await page.screenshot({ path, animations: 'disabled' })
  const { size } = statSync(path)
  if (size > MAX_PICTURE_BYTES) throw new Error(`${name}.png is ${size} bytes large`)
}

/** How wide a page is, px: more than its window where something does not fit. */
export function widthOf(page: Page): Promise<number> {
  return page.evaluate<number>('document.documentElement.scrollWidth')
}

/** The first verdict on a page. */
export function verdictOf(page: Page): Locator {
  return page.locator('.verdict').first()
}

/** Waits until the page says that it has verified. Throws with what it says instead. */
export async function expectVerified(page: Page): Promise<void> {
  const verdict = verdictOf(page)
  try {
    await verdict.getByRole('heading', { name: 'Verified in your' }).waitFor()
  } catch (cause) {
    throw new Error(`not verified: ${await verdict.innerText()}`, { cause })
  }
}

/** What bars somebody from a page, as axe finds it: what is serious or worse. */
export async function barriers(page: Page): Promise<string[]> {
  // Over the debugger, so that the policy of the page does not have to allow it.
  await page.evaluate(axe.source)
  return page.evaluate(async () => {
    const { axe: injected } = globalThis as unknown as {
      axe: {
        run(): Promise<{
          violations: { id: string; impact: string; nodes: { html: string }[] }[]
        }>
      }
    }
    const { violations } = await injected.run()
    return violations
      .filter(({ impact }) => impact === 'serious' || impact === 'critical')
      .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 120)).join(' | ')}`)
  })
}
