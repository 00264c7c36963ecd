/** The head of every page: where one is, and the search. */
import { hrefOf, type Route } from '../route.ts'
import { useSession } from '../session.ts'
import { Search } from './search.tsx'

/** Pages, what leads to them, and what that goes on with where there is room. */
const PAGES = [
  ['changes', 'Changes', ''],
  ['log', 'The log', ''],
  ['verify', 'Verify', ' a file'],
  ['watch', 'Watch', ' a name'],
] as const

export function Head({ route }: { route: Route }) {
  const { info, log } = useSession()
  const origin = info !== undefined && 'origin' in info ? info.origin : new URL(log).host
  return (
    <header>
      <div class="bar">
        <a class="brand" href={hrefOf({ page: 'home' })}>
          <svg viewBox="0 0 32 32" width="28" height="28" aria-hidden="true">
            <rect width="32" height="32" rx="7" class="logo" />
            <g class="logo-bars">
              <rect x="6" y="8" width="12" height="4" rx="2" />
              <rect x="12" y="14" width="14" height="4" rx="2" />
              <rect x="6" y="20" width="20" height="4" rx="2" />
            </g>
          </svg>
          <span>dslog</span>
          <small>{origin}</small>
        </a>
        <nav aria-label="Pages">
          <ul>
            {PAGES.map(([page, text, more]) => (
              <li key={page}>
                <a href={hrefOf({ page })} aria-current={route.page === page ? 'page' : undefined}>
                  {text}
                  <span class="wide">{more}</span>
                </a>
              </li>
            ))}
          </ul>
        </nav>
      </div>
      {route.page === 'home' ? null : <Search compact />}
    </header>
  )
}
