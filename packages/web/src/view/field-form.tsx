/** A form of one field, which says beneath it what is wrong with what was entered. */
import type { ComponentChildren, JSX } from 'preact'
import { useState } from 'preact/hooks'
import { CheckFailure } from '../verifier.ts'

interface FieldFormProps {
  /** Of the field. */
  readonly name: string
  /**
   * Takes what was entered, without the space around it. Returns what is wrong with it, in words.
   *
   * @throws CheckFailure likewise
   */
  readonly take: (text: string) => string | undefined | Promise<string | undefined>
  /** The field, its label and its button. */
  readonly children: (isWrong: boolean) => ComponentChildren
}

export function FieldForm({ children, name, take }: FieldFormProps): JSX.Element {
  const [wrong, setWrong] = useState('')
  const onSubmit = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault()
    const field = (event.currentTarget as HTMLFormElement).elements.namedItem(name)
    const { value } = field as HTMLInputElement | HTMLTextAreaElement
    try {
      setWrong((await take(value.trim())) ?? '')
    } catch (error) {
      if (!(error instanceof CheckFailure)) throw error
      setWrong(error.failure.words)
    }
  }
  return (
    <form onInput={() => setWrong('')} onSubmit={(event) => void onSubmit(event)}>
      {children(wrong !== '')}
      {wrong === '' ? null : (
        <p class="wrong" role="alert">
          {wrong}
        </p>
      )}
    </form>
  )
}
