/** The first page: the search, what this is, and what happened last. */
import { hrefOf } from '../route.ts'
import { ChangeList } from '../view/change-list.tsx'
import { Search } from '../view/search.tsx'
import { useChanges } from '../changes.ts'

/** Changes on this page. */
const FEW = 6

export function HomePage() {
  const { changes, detail, state } = useChanges(FEW)
  return (
    <article class="home">
      <h1>Did anyone swap the keys of a domain?</h1>
      <p class="lead">
        One record at the registry decides which keys a domain is trusted with. This log keeps each
        change that it finds, signed by the registry itself, where nobody can take it back. Your
        browser checks every answer here.
      </p>
      <Search />
      <section aria-labelledby="recent">
        <div class="row">
          <h2 id="recent">Latest changes</h2>
          <a href={hrefOf({ page: 'changes' })}>Follow them live</a>
        </div>
        {state === 'asking' ? <p class="quiet">Asking the log…</p> : null}
        {state === 'failed' ? <p class="wrong">{detail}</p> : null}
        {state === 'asking' || state === 'failed' ? null : (
          <ChangeList changes={changes.slice(0, FEW)} />
        )}
      </section>
      <section class="trio" aria-label="What else there is">
        <div>
          <h2>Yours?</h2>
          <p>
            Be told when a key of your domain changes and you did not do it.{' '}
            <a href={hrefOf({ page: 'watch' })}>Watch a name</a>
          </p>
        </div>
        <div>
          <h2>A proof in hand?</h2>
          <p>
            Drop a proof file and verify it, without asking anybody.{' '}
            <a href={hrefOf({ page: 'verify' })}>Verify a file</a>
          </p>
        </div>
        <div>
          <h2>Trust nobody?</h2>
          <p>
            Choose whose keys and witnesses count, or check all with curl and openssl.{' '}
            <a href={hrefOf({ page: 'by-hand' })}>Verify by hand</a>
          </p>
        </div>
      </section>
    </article>
  )
}
