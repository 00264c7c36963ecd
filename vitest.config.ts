import { defineConfig } from 'vitest/config'
import { swapping } from './test/swap.ts'

// Packages are resolved to their sources, so tests need no build; only what starts a process does.
const conditions = ['@dslog/source', 'node']

/** Whole stories, deaths and faults, each of them minutes long: every night, and before a release. */
const LONG = [
  'test/e2e/{compose,crawl,crawl-faults,crawl-gov,crawl-real,crawl-restart,crawl-root,crawl-vantages,demo,export,readme,witnesses,zones}.test.ts',
  'test/e2e/operate/*.test.ts',
  'test/explorer/{everybody,trouble}.test.ts',
  'test/fault/{alerts,crash-embedded,crash-postgres,crawlers,second,standby,storage}.test.ts',
]

export default defineConfig({
  plugins: [swapping({ 'packages/service/src/thread.ts': 'test/thread.ts' })],
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    environment: 'node',
    globalSetup: 'test/template.ts',
    // For what hangs, not for what is slow: a shared machine can take ten times as long.
    testTimeout: 300_000,
    hookTimeout: 300_000,
    expect: { poll: { timeout: 120_000 } },
    // Two cores are the smallest machine we promise to be tested on.
    maxWorkers: 2,
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          // What is imported, and compiled, for one file serves the next: a third of their time. So no module of theirs sets
          // anything up when it is loaded, and what a test puts in place it takes away.
          isolate: false,
          include: [
            'schema/test/**/*.test.ts',
            'packages/*/test/**/*.test.ts',
            'services/*/test/**/*.test.ts',
            // Those of packages/verify that need signed zones: the testbed stands above it.
            'test/verify/**/*.test.ts',
          ],
        },
      },
      {
        extends: true,
        test: {
          name: 'contract',
          include: [
            'test/contract/**/*.test.ts',
            'test/deploy/**/*.test.ts',
            'test/docs/**/*.test.ts',
            'test/fuzz/**/*.test.ts',
          ],
        },
      },
      {
        extends: true,
        test: {
          name: 'e2e',
          include: ['test/{e2e,explorer,fault,interop}/**/*.test.ts'],
          exclude: LONG,
        },
      },
      {
        extends: true,
        test: { name: 'long', include: LONG },
      },
    ],
  },
})
