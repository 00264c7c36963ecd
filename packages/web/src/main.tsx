/** Starts the page: which log it is about, and what this browser remembers. */
import { render } from 'preact'
import { App } from './app.tsx'
import { isWebUrl } from './api.ts'
import { Memory } from './memory.ts'
import { wakeVerifier } from './verifier.ts'

/** `?log=URL`, or the log that serves this page. Without a slash at its end. */
function logUrl(): string {
  const named = new URLSearchParams(location.search).get('log')
  const url = named !== null && isWebUrl(named) ? named : new URL('.', location.href).href
  return url.replace(/[?#].*$/s, '').replace(/\/+$/, '')
}

function storage(): Storage | undefined {
  try {
    return localStorage
  } catch {
    return undefined
  }
}

render(<App log={logUrl()} memory={new Memory(storage())} />, document.getElementById('app')!)
wakeVerifier()
