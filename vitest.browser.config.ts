// The suites of the isomorphic packages once more, in Chromium: what a browser verifies is not what
// Node verified, until the same tests say so. Suites that need Node are named *.node.test.ts.
import { playwright } from '@vitest/browser-playwright'
import { defineConfig } from 'vitest/config'
import { CHROMIUM, hasChromium } from './test/browser/chromium.ts'
import { servedFiles } from './test/browser/served-files.ts'
import { swapping } from './test/swap.ts'

const found = hasChromium()
const suites = ['packages/tlog/test/**/*.test.ts', 'packages/dnssec/test/**/*.test.ts']

/** Modules of the packages' tests that know Node, and what a browser gets. */
const swaps = {
  'packages/tlog/test/vectors.ts': 'test/browser/tlog-vectors.ts',
  'packages/dnssec/test/vectors.ts': 'test/browser/dnssec-vectors.ts',
  'packages/dnssec/test/backends.ts': 'test/browser/dnssec-backends.ts',
}

export default defineConfig({
  plugins: [swapping(swaps), servedFiles()],
  resolve: { conditions: ['@dslog/source', 'browser'] },
  // Found on the way, a dependency makes the page reload under a running test.
  optimizeDeps: { noDiscovery: true },
  test: {
    name: 'browser',
    include: found ? suites : [],
    exclude: ['**/node_modules/**', '**/*.node.test.ts'],
    passWithNoTests: !found,
    testTimeout: 120_000,
    fileParallelism: false,
    browser: {
      enabled: found,
      headless: true,
      screenshotFailures: false,
      provider: playwright({ launchOptions: CHROMIUM }),
      instances: [{ browser: 'chromium' }],
    },
  },
})
