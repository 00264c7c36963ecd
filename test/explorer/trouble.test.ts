/**
 * The explorer where things are not as they should be: a log that is away, slow or new, clocks that are
 * wrong, no monitor, names and histories beyond all measure. It says so in plain words, and never claims
 * what it has not verified.
 */
import type { Page } from 'playwright'
import { describe, expect, test } from 'vitest'
import { nameFromText } from '@dslog/dnssec/name'
import { DAY, HOUR } from '@dslog/schema/time'
import { dsOf } from '@dslog/testbed/key'
import { ownerKey } from '@dslog/testbed/stories'
import { pinToText } from '@dslog/verify/pins'
import { barriers, canBrowse, expectVerified, takePicture, verdictOf, widthOf } from './browser.ts'
import { PAGES } from './pages.ts'
import { Scene } from './scene.ts'
import { MANY } from './stage.ts'

/** Where nobody answers. */
const NOWHERE = 'http://127.0.0.1:9'

/** Labels as long as they get, in a name as long as one gets that has a name server below it. */
const LONG_NAME = `${['a', 'b', 'c'].map((letter) => letter.repeat(63)).join('.')}.${'d'.repeat(53)}.fi.`

/** More changes than are drawn, and than are listed at first. */
const CHANGES = 52

/** A key that the owner of a name has pinned. */
interface Pinned {
  readonly generation: number
  readonly kind: 'ds' | 'dnskey'
}

describe.runIf(canBrowse())('the explorer in trouble', () => {
  const scene = new Scene()

  /** Makes the log name another monitor, or none. */
  function nameMonitor(monitor: string | null): void {
    scene.stage.between.tamper = (path, body) =>
      path === '/v1/log'
        ? JSON.stringify({ ...(JSON.parse(body) as object), monitor: monitor ?? undefined })
        : body
  }

  test('a log that is away at the first visit is asked again', async () => {
    const page = await scene.come()
    scene.stage.between.tamper = (path, body) => (path.startsWith('/v1/') ? 'out of order' : body)
    await page.goto(`${scene.stage.url}/#/name/bank.fi.`)
    await page.getByText('There is no log to read here').waitFor()
    await page.getByRole('heading', { name: 'Nothing could be verified' }).waitFor()
    expect(await page.locator('section.entry').count()).toBe(0)
    scene.stage.between.tamper = undefined
    await page.getByRole('button', { name: 'Try again' }).click()
    await page.getByRole('button', { name: 'Use its test anchors' }).click()
    await expectVerified(page)
    expect(await page.getByText('There is no log to read here').count()).toBe(0)
  })

  test('a log that goes away is said to be', async () => {
    const page = await scene.visit('#/name/bank.fi.')
    await expectVerified(page)
    scene.stage.between.target = NOWHERE
    await page.getByRole('link', { name: 'The log', exact: true }).click()
    await page.getByRole('heading', { name: 'Nothing could be verified' }).first().waitFor()
    await page.goto(`${scene.stage.url}/#/changes`)
    await page.getByText('Not connected').waitFor()
    // What is not known is not said to be nothing.
    expect(await page.getByText('No change is logged').count()).toBe(0)
    await page.goto(`${scene.stage.url}/#/`)
    await page.locator('.wrong').getByText('127.0.0.1').waitFor()
    expect(await page.getByText('No change is logged').count()).toBe(0)
    await page.goto(`${scene.stage.url}/#/zone/fi.`)
    await page.getByRole('heading', { name: 'Nothing could be verified' }).waitFor()
    scene.restore()
    await page.getByRole('button', { name: 'Try again' }).click()
    await expectVerified(page)
  })

  test('another address without a log is told so', async () => {
    const page = await scene.come()
    await page.goto(`${scene.stage.url}/?log=${encodeURIComponent(NOWHERE)}#/name/bank.fi.`)
    await page.getByText('127.0.0.1:9 does not answer.').first().waitFor()
    await page.getByRole('heading', { name: 'Nothing could be verified' }).waitFor()
    await page.getByRole('link', { name: 'choose one' }).click()
    await page.getByLabel('Address of the log').fill('nowhere')
    await page.getByRole('button', { name: 'Open' }).click()
    await page.getByLabel('Address of the log').fill(scene.stage.url)
    await page.getByRole('button', { name: 'Open' }).click()
    await page.getByRole('button', { name: 'Use its test anchors' }).waitFor()
    expect(page.url()).toContain(encodeURIComponent(scene.stage.url))
  })

  test('a log that a link has named is said to be one', async () => {
    const other = scene.stage.between.target
    const page = await scene.come()
    await page.goto(`${scene.stage.url}/?log=${encodeURIComponent(other)}#/name/bank.fi.`)
    await page.getByRole('button', { name: 'Use its test anchors' }).click()
    await expectVerified(page)
    const strip = page.getByText(`This is the log at ${new URL(other).host}`)
    await strip.waitFor()
    await strip.getByRole('link').click()
    await page.getByLabel(/^Policy/).fill(scene.stage.policy)
    await page.getByRole('button', { name: 'Trust this policy' }).click()
    await page.getByText('Trusted from now on').waitFor()
    expect(await strip.count()).toBe(0)
  })

  test('a slow log is waited for, and nothing is claimed before', async () => {
    const page = await scene.visit()
    await page.locator('.changes li').first().waitFor()
    scene.stage.between.delay = 5_000
    await page.goto(`${scene.stage.url}/#/name/bank.fi.`)
    await page.getByText('This takes longer than usual').waitFor()
    expect(await page.locator('.timeline, section.entry').count()).toBe(0)
    expect(await page.locator('.steps li.now').innerText()).toContain('Ask the log for its proof')
    await expectVerified(page)
  })

  test('a clock that is a day behind, and a log that has slept, are remarked upon', async () => {
    const page = await scene.come()
    await page.clock.setFixedTime(scene.stage.now() - DAY)
    await scene.visitor.open(scene.stage.url, '#/name/bank.fi.')
    await expectVerified(page)
    expect(await verdictOf(page).innerText()).toContain('ahead of the clock here')
    await page.clock.setFixedTime(scene.stage.now() + 30 * DAY)
    await page.reload()
    await expectVerified(page)
    expect(await verdictOf(page).innerText()).toMatch(/The tree is (29|30) days old\./)
    await page.clock.setFixedTime(scene.stage.now() + DAY)
    await page.reload()
    await expectVerified(page)
    expect(await verdictOf(page).innerText()).not.toMatch(/days old|ahead/)
  })

  test('a name that looks like another is shown in letters that cannot', async () => {
    const page = await scene.visit()
    await page.getByLabel('Domain name').fill('bаnk.fi') // its a is Cyrillic
    await page.keyboard.press('Enter')
    await expectVerified(page)
    expect(await page.getByRole('heading', { level: 1 }).innerText()).toMatch(/^xn--bnk-6cd\.fi\./)
    expect(await page.title()).toMatch(/^xn--bnk-6cd\.fi\./)
    expect(await verdictOf(page).innerText()).toContain('has never recorded anything about xn--')
    expect(await page.getByText('mixes letters of several scripts').count()).toBe(1)
    await page.goto(`${scene.stage.url}/#/name/xn--bcher-kva.se.`)
    await expectVerified(page)
    expect(await page.getByText('mixes letters of several scripts').count()).toBe(0)
  })

  test('the longest of names fits the narrowest of screens', async () => {
    await scene.stage.change(LONG_NAME, 1)
    const page = await scene.visit('#/', { viewport: { width: 320, height: 640 } })
    await page.getByRole('link', { name: LONG_NAME }).waitFor()
    expect(await widthOf(page)).toBeLessThanOrEqual(320)
    await page.getByRole('link', { name: LONG_NAME }).click()
    await expectVerified(page)
    expect(await widthOf(page)).toBeLessThanOrEqual(320)
    await page.goto(`${scene.stage.url}/#/watch/${LONG_NAME}`)
    await page.getByLabel('Where to').waitFor()
    expect(await widthOf(page)).toBeLessThanOrEqual(320)
  })

  test('a name that never rests is drawn in part and listed as a whole', async () => {
    for (let generation = 1; generation <= CHANGES; generation++) {
      await scene.stage.change('restless.fi.', generation, HOUR)
    }
    const page = await scene.visit('#/name/restless.fi.')
    await expectVerified(page)
    expect(await verdictOf(page).innerText()).toContain(`These ${CHANGES} entries are everything`)
    expect(await page.locator('.timeline .lane').count()).toBe(16)
    await page.getByText(`${CHANGES - 16} older keys are not drawn`).waitFor()
    expect(await page.locator('section.entry').count()).toBe(50)
    await page.getByRole('button', { name: `Show ${CHANGES - 50} older` }).click()
    expect(await page.locator('section.entry').count()).toBe(CHANGES)
    expect(await page.locator('section.entry').last().innerText()).toContain('First seen')
  })

  test('a log with nothing in it says so, and proves it', async () => {
    scene.stage.between.target = await scene.stage.empty()
    const page = await scene.visit()
    await page.getByText('No change is logged yet.').waitFor()
    for (const hash of ['#/name/bank.fi.', '#/zone/fi.', '#/zone/@', '#/log']) {
      await page.goto(`${scene.stage.url}/${hash}`)
      await expectVerified(page)
    }
    await page.goto(`${scene.stage.url}/#/changes`)
    await page.getByText('No change is logged yet.').waitFor()
    expect(scene.visitor.errors).toEqual([])
  })

  test('without a monitor nothing is compared, and nobody can subscribe', async () => {
    nameMonitor(null)
    const page = await scene.visit('#/log')
    await expectVerified(page)
    await page.getByText('None is known here').waitFor()
    await page.goto(`${scene.stage.url}/#/watch/bank.fi.`)
    await page.getByRole('heading', { name: 'No monitor is known here' }).waitFor()
    expect(await page.getByRole('button', { name: 'Subscribe' }).count()).toBe(0)
    await page.goto(`${scene.stage.url}/#/name/bank.fi.`)
    await expectVerified(page)
    expect(await page.getByText('The monitor at').count()).toBe(0)
  })

  test('a monitor that is away is no opinion', async () => {
    nameMonitor(NOWHERE)
    const page = await scene.visit('#/name/bank.fi.')
    await expectVerified(page)
    await page.getByText('No second opinion: 127.0.0.1:9 does not answer.').waitFor()
    await page.goto(`${scene.stage.url}/#/log`)
    await page.getByText('127.0.0.1:9 does not answer.').waitFor()
    await page.goto(`${scene.stage.url}/#/watch/bank.fi.`)
    await page.getByLabel('Where to').fill('owner@elsewhere.example')
    await page.getByRole('button', { name: 'Subscribe' }).click()
    await page.getByRole('alert').getByText('127.0.0.1:9 does not answer.').waitFor()
  })

  /** Makes the monitor tell of pins that the owner of a name shows in public; gives the list, to change. */
  async function withPins(page: Page, name: string): Promise<Pinned[]> {
    const owner = nameFromText(name)
    const pinned: Pinned[] = []
    await page.route(`${scene.stage.monitor}/v1/names/**`, async (route) => {
      const response = await route.fetch()
      const pins = await Promise.all(
        pinned.map(async ({ generation, kind }) => {
          const key = ownerKey(owner, generation)
          return pinToText({ kind, rdata: kind === 'ds' ? dsOf(owner, key) : key.rdata })
        }),
      )
      const statement = { owner_key: '', signature: '', seq: 1, not_after: 2e12, pins }
      await route.fulfill({ response, json: { ...(await response.json()), pins: [statement] } })
    })
    return pinned
  }

  test('what an owner has pinned is held against what is in force', async () => {
    const page = await scene.visit()
    const pinned = await withPins(page, 'example.fi.')
    const look = async (...pins: readonly Pinned[]) => {
      pinned.splice(0, pinned.length, ...pins)
      await page.goto(`${scene.stage.url}/#/name/example.fi.`)
      await page.reload()
      await expectVerified(page)
    }
    const now = { generation: MANY, kind: 'dnskey' } as const
    await look(now, { generation: MANY - 1, kind: 'ds' })
    await page.getByText(/^Its owner allows key \d+ .* and key \d+ .*, until 18 May 2033/).waitFor()
    expect(await page.getByRole('alert').count()).toBe(0)
    // What was rolled before is no matter of these pins.
    expect(await page.locator('.barred').count()).toBe(0)
    await look({ generation: 1, kind: 'ds' })
    await page.getByRole('alert').getByText('The owner has not pinned what is in force').waitFor()
    await page.locator('.timeline .barred .held.open').first().waitFor()
    await look()
    await page.getByText(/which replays the whole log, says the same/).waitFor()
    expect(await page.getByText('Its owner allows').count()).toBe(0)
    expect(await page.locator('.barred').count()).toBe(0)
  })

  test.each([
    ['light', 1000],
    ['dark', 320],
  ] as const)(
    'a key that no pin allows is marked where it was, in %s at %i px',
    async (colorScheme, width) => {
      const page = await scene.visit('#/', { colorScheme, viewport: { width, height: 760 } })
      const pinned = await withPins(page, 'bank.fi.')
      pinned.push({ generation: 1, kind: 'dnskey' })
      await page.goto(`${scene.stage.url}/#/name/bank.fi.`)
      await expectVerified(page)
      const { tag } = ownerKey(nameFromText('bank.fi.'), 666)
      // In the picture, by form; to those who hear it, in its name; and in the list.
      await page.getByRole('img', { name: `has not pinned key ${tag} ` }).waitFor()
      expect(await page.locator('.timeline .barred').count()).toBe(1)
      expect(await page.locator('.timeline .barred text').textContent()).toMatch(
        new RegExp(`^key ${tag} .*, not pinned$`),
      )
      expect(await page.locator('.timeline .barred-mark').count()).toBe(2)
      const legend = page.locator('.timeline figcaption')
      expect(await legend.innerText()).toContain(
        `a key that the owner has not pinned, says the monitor at ${new URL(scene.stage.monitor).host}`,
      )
      const marked = page.locator('section.entry').filter({ has: page.locator('p.barred') })
      expect(await marked.count()).toBe(1)
      expect(await marked.innerText()).toMatch(`The owner has not pinned key ${tag} (`)
      // It is over: nobody is called.
      expect(await page.getByRole('alert').count()).toBe(0)
      expect(await widthOf(page)).toBeLessThanOrEqual(width)
      const [frame, lane] = await Promise.all(
        ['.timeline', '.timeline .barred text'].map((part) => page.locator(part).boundingBox()),
      )
      expect(lane!.x + lane!.width).toBeLessThanOrEqual(frame!.x + frame!.width)
      expect(await barriers(page)).toEqual([])
      await page.locator('.timeline').scrollIntoViewIfNeeded()
      await takePicture(page, colorScheme === 'light' ? 'pinned' : 'pinned-narrow')
    },
  )

  test('a monitor that talks nonsense spoils nothing that is verified', async () => {
    const page = await scene.visit()
    const pins = Array.from({ length: 300 }, () => `DS 1 13 2 ${'00'.repeat(32)}`)
    const nonsense = [
      { pins: [{ pins: ['DNSKEY ?'], not_after: 1e300 }] },
      { pins: [{ pins, not_after: -1e300 }] },
      { pins: [{ pins: pins.slice(0, 9), not_after: 1e300 }, null, 'x', { pins: 7 }] },
    ]
    for (const said of nonsense) {
      await page.unroute(`${scene.stage.monitor}/v1/names/**`)
      await page.route(`${scene.stage.monitor}/v1/names/**`, async (route) => {
        const response = await route.fetch()
        await route.fulfill({ response, json: { ...(await response.json()), ...said } })
      })
      await page.goto(`${scene.stage.url}/#/name/bank.fi.`)
      await page.reload()
      await expectVerified(page)
      await page.getByText(/make no sense|ms after 1970/).waitFor()
      expect(await page.locator('section.entry').count()).toBe(3)
    }
    expect(scene.visitor.errors).toEqual([])
  })

  test('a monitor that saw something else is an alarm', async () => {
    const page = await scene.visit('#/log')
    await expectVerified(page)
    await page.route(`${scene.stage.monitor}/v1/names/**`, (route) =>
      route.fulfill({
        headers: { 'access-control-allow-origin': '*' },
        json: {
          name: 'bank.fi.',
          logs: [{ origin: 'log.example/test', size: 3, checked_at: 0 }],
          entries: [{ log: 'log.example/test', index: 2 }],
        },
      }),
    )
    await page.goto(`${scene.stage.url}/#/name/bank.fi.`)
    await page.getByRole('alert').getByText('saw other entries of this name').waitFor()
  })

  test.each(PAGES)('%s is an address that can be given away', async (hash, heading) => {
    const page = await scene.visit(hash)
    await page.reload()
    await page.getByRole('heading', { level: 1, name: heading }).waitFor()
    expect(page.url()).toBe(`${scene.stage.url}/${hash}`)
  })
})
