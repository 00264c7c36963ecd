/** The frame of all pages: head, warnings that concern everything, the page that the address names. */
import { useEffect, useMemo, useRef, useState } from 'preact/hooks'
import { AskError, askInfo, type LogInfo } from './api.ts'
import type { LogMemory, Memory } from './memory.ts'
import { ByHandPage } from './page/by-hand.tsx'
import { ChangesPage } from './page/changes.tsx'
import { EntryPage } from './page/entry.tsx'
import { HomePage } from './page/home.tsx'
import { LogPage } from './page/log.tsx'
import { NamePage } from './page/name.tsx'
import { TrustPage } from './page/trust.tsx'
import { VerifyPage } from './page/verify.tsx'
import { WatchPage } from './page/watch.tsx'
import { ZonePage } from './page/zone.tsx'
import { focusHeading } from './focus.ts'
import { hrefOf, type Route, routeOf } from './route.ts'
import { type Session, SessionContext } from './session.ts'
import { Head } from './view/head.tsx'
import { Warnings } from './view/warnings.tsx'

export function App({ log, memory }: { log: string; memory: Memory }) {
  const [info, setInfo] = useState<LogInfo | AskError>()
  const [trusted, setTrusted] = useState<LogMemory | undefined>(() => memory.get(log))
  const [round, setRound] = useState(0)
  const route = useRoute()

  useEffect(() => {
    askInfo(log).then(setInfo, (error: unknown) => {
      setInfo(error instanceof AskError ? error : new AskError(0, String(error)))
    })
  }, [log, round])

  const session = useMemo<Session>(() => {
    const remember: Session['remember'] = (change) => {
      // Of what is kept now: a verification may have added the tree it saw.
      const next = change(memory.get(log))
      memory.set(log, next)
      setTrusted(next)
    }
    const forget = (): void => {
      memory.forget(log)
      location.reload()
    }
    const askAgain = (): void => setRound((n) => n + 1)
    return { log, memory, info, trusted, remember, forget, askAgain }
  }, [log, memory, info, trusted])

  // Trust on first use, and the page says so wherever it claims anything.
  useEffect(() => {
    if (trusted !== undefined || info === undefined || !('origin' in info)) return
    const { origin, policy } = info
    session.remember((kept) => kept ?? { origin, policy, policyFrom: 'log', since: Date.now() })
  }, [info, trusted])

  return (
    <SessionContext.Provider value={session}>
      <a class="skip" href="#main" onClick={skipToMain}>
        Skip to the content
      </a>
      <Head route={route} />
      <Warnings />
      <main id="main" tabIndex={-1}>
        <Page key={hrefOf(route)} route={route} />
      </main>
      <footer>
        <p>
          Everything here is verified in your browser or marked as what the log says.{' '}
          <a href={hrefOf({ page: 'by-hand' })}>Verify by hand</a> ·{' '}
          <a href={hrefOf({ page: 'trust' })}>Whom you trust</a>
        </p>
      </footer>
    </SessionContext.Provider>
  )
}

// The hash is the address of a page; a link to a place on it would leave the page.
function skipToMain(event: Event): void {
  event.preventDefault()
  document.getElementById('main')?.focus()
}

function Page({ route }: { route: Route }) {
  switch (route.page) {
    case 'home':
      return <HomePage />
    case 'name':
      return <NamePage name={route.name} />
    case 'zone':
      return <ZonePage zone={route.name} />
    case 'entry':
      return <EntryPage index={route.index} />
    case 'changes':
      return <ChangesPage />
    case 'log':
      return <LogPage />
    case 'verify':
      return <VerifyPage />
    case 'by-hand':
      return <ByHandPage />
    case 'watch':
      return <WatchPage {...(route.name === undefined ? {} : { name: route.name })} />
    case 'trust':
      return <TrustPage />
    case 'unknown':
      return (
        <article>
          <h1>There is no such page</h1>
          <p>
            The address may be cut off. <a href={hrefOf({ page: 'home' })}>Search for a name</a>.
          </p>
        </article>
      )
  }
}

/** The page of the address. When it changes, reading goes on at the heading of the new page. */
function useRoute(): Route {
  const [route, setRoute] = useState(() => routeOf(location.hash))
  const first = useRef(true)
  useEffect(() => {
    const onChange = (): void => setRoute(routeOf(location.hash))
    addEventListener('hashchange', onChange)
    return () => removeEventListener('hashchange', onChange)
  }, [])
  const address = hrefOf(route)
  useEffect(() => {
    const heading = document.querySelector('h1')
    document.title =
      heading === null || route.page === 'home' ? 'dslog' : `${heading.textContent} · dslog`
    if (!first.current) {
      focusHeading(heading)
      scrollTo(0, 0)
    }
    first.current = false
  }, [address])
  return route
}
