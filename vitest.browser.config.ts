// The suites of the isomorphic packages once more, in Chromium: what a browser verifies is not what
// Node verified, until the same tests say so. Suites that need Node are named *.node.test.ts.
import { existsSync } from 'node:fs'
import { playwright } from '@vitest/browser-playwright'
import { defineConfig } from 'vitest/config'
import { servedFiles } from './test/browser/served-files.ts'

// Debian's, since the tests take no browser from elsewhere.
const chromium = process.env['DSLOG_TEST_CHROMIUM'] ?? '/usr/bin/chromium'
const found = existsSync(chromium)
if (!found) console.log(`skipped: no Chromium at ${chromium} (set DSLOG_TEST_CHROMIUM)`)

const suites = ['packages/tlog/test/**/*.test.ts', 'packages/dnssec/test/**/*.test.ts']

export default defineConfig({
  plugins: [servedFiles()],
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
      provider: playwright({
        launchOptions: {
          executablePath: chromium,
          // As root in a container, and without a word to anybody.
          args: [
            '--no-sandbox',
            '--disable-gpu',
            '--disable-quic',
            '--no-first-run',
            '--disable-background-networking',
            '--disable-component-update',
            '--disable-sync',
          ],
        },
      }),
      instances: [{ browser: 'chromium' }],
    },
  },
})
