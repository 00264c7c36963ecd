/** The browser that tests run in: the system's Chromium, since tests take none from elsewhere. */
import { existsSync } from 'node:fs'

const path = process.env['DSLOG_TEST_CHROMIUM'] ?? '/usr/bin/chromium'

/** How it is started: as root in a container, and without a word to anybody. */
export const CHROMIUM: { executablePath: string; args: string[] } = {
  executablePath: path,
  args: [
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
  ],
}

/** Whether it is there; prints if not. */
export function hasChromium(): boolean {
  const found = existsSync(path)
  if (!found) console.log(`skipped: no Chromium at ${path} (set DSLOG_TEST_CHROMIUM)`)
  return found
}
