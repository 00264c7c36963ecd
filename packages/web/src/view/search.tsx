/** Search for a name, in whatever form somebody has it. */
import { useState } from 'preact/hooks'
import { hrefOf, nameOfSearch } from '../route.ts'

export function Search({ compact = false }: { compact?: boolean }) {
  const [wrong, setWrong] = useState('')
  const onSubmit = (event: SubmitEvent): void => {
    event.preventDefault()
    const input = (event.currentTarget as HTMLFormElement).elements.namedItem('name')
    const text = (input as HTMLInputElement).value
    try {
      location.hash = hrefOf({ page: 'name', name: nameOfSearch(text) })
      setWrong('')
    } catch {
      setWrong(
        text.trim() === ''
          ? 'Type a domain name, such as example.org.'
          : `“${text.trim().slice(0, 80)}” is not a domain name. Try something like example.org.`,
      )
    }
  }
  return (
    <form
      class={compact ? 'search compact' : 'search'}
      role="search"
      onSubmit={onSubmit}
      noValidate
    >
      <label htmlFor="name" class={compact ? 'hidden' : ''}>
        {compact ? 'Look up a domain name' : 'Domain name'}
      </label>
      <div class="field">
        <input
          id="name"
          name="name"
          type="text"
          inputMode="url"
          autoComplete="off"
          autoCapitalize="none"
          spellcheck={false}
          placeholder="example.org"
          aria-invalid={wrong !== ''}
          aria-describedby={wrong === '' ? undefined : 'name-wrong'}
        />
        <button type="submit">Look up</button>
      </div>
      {wrong === '' ? null : (
        <p class="wrong" id="name-wrong" role="alert">
          {wrong}
        </p>
      )}
    </form>
  )
}
