/** What the tests of the explorer have in common: a stage, a browser before it, a new visitor for each test. */
import type { Browser, Page } from 'playwright'
import { afterAll, afterEach, beforeAll } from 'vitest'
import { launch, Visitor } from './browser.ts'
import { Stage } from './stage.ts'

export class Scene {
  #stage: Stage | undefined
  #browser: Browser | undefined
  #visitor: Visitor | undefined
  /** Where the log is when nobody has put another in its place. */
  #target = ''

  /** Within a `describe`: registers what opens and closes it. */
  constructor() {
    beforeAll(async () => {
      ;[this.#stage, this.#browser] = await Promise.all([Stage.open(), launch()])
      this.#target = this.stage.between.target
    })
    afterEach(async () => {
      Object.assign(this.stage.between, { target: this.#target, tamper: undefined, delay: 0 })
      await this.#visitor?.leave()
      this.#visitor = undefined
    })
    afterAll(async () => {
      await this.#browser?.close()
      await this.#stage?.close()
    })
  }

  get stage(): Stage {
    return this.#stage!
  }

  /** Of this test. */
  get visitor(): Visitor {
    return this.#visitor!
  }

  /** Puts the log back that was there at first. */
  restore(): void {
    this.stage.between.target = this.#target
  }

  /** Somebody comes, who has opened nothing yet. */
  async come(options?: Parameters<Browser['newContext']>[0]): Promise<Page> {
    this.#visitor = await Visitor.come(this.#browser!, options)
    return this.#visitor.page
  }

  /** A new visitor on a page of the explorer. */
  async visit(hash = '#/', options?: Parameters<Browser['newContext']>[0]): Promise<Page> {
    await this.come(options)
    return this.visitor.open(this.stage.url, hash)
  }

  /** A visitor who has accepted the anchors before: all that the page says, it says with them. */
  async revisit(hash: string): Promise<Page> {
    const page = await this.visit()
    await page.getByText('Test anchors are in use').waitFor()
    await page.goto(`${this.stage.url}/${hash}`)
    return page
  }
}
