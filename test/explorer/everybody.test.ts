/**
 * The explorer is for everybody: by keyboard, in the dark, on a narrow screen, read aloud, on a slow line, and for those
 * who do not want anybody else to know what they look at.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Page } from 'playwright'
import { describe, expect, test } from 'vitest'
import { barriers, canBrowse, expectVerified, SITE, takePicture, widthOf } from './browser.ts'
import { PAGES } from './pages.ts'
import { Scene } from './scene.ts'

/** Most that the page may weigh before anything shows, and its worker after that, gzipped. */
const PAGE_BUDGET = 60_000
const WORKER_BUDGET = 80_000

describe.runIf(canBrowse())('the explorer, for everybody', () => {
  const scene = new Scene()

  test('the keyboard is enough', async () => {
    const focused = async () => page.locator(':focus').innerText()
    const page = await scene.come()
    await page.goto(`${scene.stage.url}/#/`)
    const accept = 'Use its test anchors for this log'
    await page.getByRole('button', { name: accept }).waitFor()
    do await page.keyboard.press('Tab')
    while ((await focused()) !== accept)
    await page.keyboard.press('Enter')
    // What had the focus is gone.
    await page.locator(':focus', { hasText: /^Did anyone swap the keys of a domain\?$/ }).waitFor()
    await page.reload()
    await page.getByText('Test anchors are in use').waitFor()
    await page.keyboard.press('Tab')
    expect(await focused()).toBe('Skip to the content')
    await page.keyboard.press('Enter')
    expect(await page.locator(':focus').getAttribute('id')).toBe('main')
    await page.getByLabel('Domain name').focus()
    await page.keyboard.type('bank.fi')
    await page.keyboard.press('Enter')
    await expectVerified(page)
    // Reading goes on at the heading of the new page.
    await page.locator('h1:focus').waitFor()
    for (let i = 0; i < 20; i++) {
      await page.keyboard.press('Tab')
      if ((await page.locator(':focus').innerText()).startsWith('How:')) break
    }
    await page.keyboard.press('Enter')
    expect(await page.locator('.how').getAttribute('open')).not.toBeNull()
  })

  test.each(['light', 'dark'] as const)('nothing bars anybody, in %s', async (colorScheme) => {
    const page = await scene.visit('#/name/example.fi.', { colorScheme })
    await expectVerified(page)
    const ground = await page.evaluate<string>('getComputedStyle(document.body).backgroundColor')
    expect(brightness(ground) > 128).toBe(colorScheme === 'light')
    if (colorScheme === 'dark') await takePicture(page, 'dark')
    for (const [hash, heading] of PAGES) {
      await page.goto(`${scene.stage.url}/${hash}`)
      await settled(page, heading)
      if (hash === '#/by-hand' && colorScheme === 'light') await takePicture(page, 'by-hand')
      await page.evaluate("document.querySelectorAll('details').forEach((d) => (d.open = true))")
      expect(await barriers(page), hash).toEqual([])
    }
    expect(scene.visitor.errors).toEqual([])
  })

  test('it fits 320 px', async () => {
    const page = await scene.visit('#/name/odd.fi.', { viewport: { width: 320, height: 640 } })
    await expectVerified(page)
    await takePicture(page, 'narrow')
    for (const [hash, heading] of PAGES) {
      await page.goto(`${scene.stage.url}/${hash}`)
      await settled(page, heading)
      expect(await widthOf(page), hash).toBeLessThanOrEqual(320)
    }
  })

  test('nobody else is asked, and nothing runs that did not come with the page', async () => {
    const page = await scene.visit('#/name/bank.fi.')
    await expectVerified(page)
    const own = new URL(scene.stage.url).host
    const monitor = new URL(scene.stage.monitor).host
    expect([...scene.visitor.hosts].filter((host) => host !== own && host !== monitor)).toEqual([])
    const answer = await fetch(`${scene.stage.url}/`)
    const policy = answer.headers.get('content-security-policy') ?? ''
    expect(policy).toContain("default-src 'none'")
    expect(policy).toContain("script-src 'self';")
    expect(policy).not.toContain('unsafe')
    expect(answer.headers.get('cache-control')).toBe('no-cache')
    expect(
      (await fetch(`${scene.stage.url}/no-such-file.js`)).headers.get('content-type'),
    ).toContain('problem+json')
  })

  test('it weighs little', async () => {
    await scene.come()
    const assets = readdirSync(join(SITE, 'assets')).filter((name) => name.endsWith('.gz'))
    const index = readFileSync(join(SITE, 'index.html'), 'utf8')
    const weigh = (names: string[]) =>
      names.reduce((sum, name) => sum + statSync(join(SITE, 'assets', name)).size, 0)
    const [first, later] = [true, false].map((isFirst) =>
      weigh(assets.filter((name) => index.includes(name.slice(0, -3)) === isFirst)),
    ) as [number, number]
    const page = first + statSync(join(SITE, 'index.html.gz')).size
    console.log(`the page weighs ${page} bytes gzipped, its worker ${later}`)
    expect(page).toBeLessThan(PAGE_BUDGET)
    expect(later).toBeLessThan(WORKER_BUDGET)
    expect(later).toBeGreaterThan(10_000)
    const [asset] = assets as [string]
    const answer = await fetch(`${scene.stage.url}/assets/${asset.slice(0, -3)}`, {
      headers: { 'accept-encoding': 'gzip, br' },
    })
    expect(answer.headers.get('cache-control')).toContain('immutable')
    expect(answer.headers.get('content-encoding')).toBe('br')
  })
})

/** A page is there, and what it verifies is verified or was never to be. */
async function settled(page: Page, heading: string): Promise<void> {
  await page.getByRole('heading', { level: 1, name: heading, exact: true }).waitFor()
  await expect.poll(() => page.locator('.verdict.busy').count()).toBe(0)
}

function brightness(color: string): number {
  const [red = 0, green = 0, blue = 0] = (color.match(/\d+/g) ?? []).map(Number)
  return (red + green + blue) / 3
}
