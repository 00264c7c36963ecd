/** Verifies a proof file that somebody has. Nothing is sent anywhere. */
import { useRef, useState } from 'preact/hooks'
import { counted } from '@dslog/verify/counted'
import { MAX_FILE_BYTES } from '../limits.ts'
import { type Check, runTask } from '../check.ts'
import { statesOf } from '../entries.ts'
import type { Proven, StepId } from '../protocol.ts'
import { useSession } from '../session.ts'
import { timelineOf } from '../timeline.ts'
import { changeMeaning, changeTitle, dateText, keyText, nameText, timeText } from '../words.ts'
import { EntryList } from '../view/entry-list.tsx'
import { EntryTitle } from '../view/entry-title.tsx'
import { MAX_LANES, TimelineView } from '../view/timeline.tsx'
import { Verdict } from '../view/verdict.tsx'

const NAME_STEPS: readonly StepId[] = ['answer', 'checkpoint', 'map', 'evidence', 'past']

export function VerifyPage() {
  const { memory } = useSession()
  const [check, setCheck] = useState<Omit<Check, 'again'>>()
  const [name, setName] = useState('')
  const [isOver, setOver] = useState(false)
  const [wrong, setWrong] = useState('')
  const input = useRef<HTMLInputElement>(null)

  async function take(file: File | undefined): Promise<void> {
    setOver(false)
    if (file === undefined) return
    setName(file.name)
    setWrong('')
    if (file.size > MAX_FILE_BYTES) {
      setCheck(undefined)
      return setWrong('A proof file is smaller than this one.')
    }
    const bytes = new Uint8Array(await file.arrayBuffer())
    setCheck({ steps: [] })
    await runTask({ task: 'file', file: bytes, trusts: memory.trusts() }, setCheck)
  }

  return (
    <article>
      <h1>Verify a proof file</h1>
      <p>
        A file named <code>.tlog-proof</code> shows an entry, or everything about a name, with all
        the signatures it takes. It is verified here, against what you trust of its log; no request
        leaves your browser.
      </p>
      <div
        class={isOver ? 'drop over' : 'drop'}
        onDragOver={(event) => {
          event.preventDefault()
          setOver(true)
        }}
        onDragLeave={() => setOver(false)}
        onDrop={(event) => {
          event.preventDefault()
          void take(event.dataTransfer?.files[0])
        }}
      >
        <p>Drop a file here, or</p>
        <label class="button" htmlFor="proof">
          Choose a proof file
        </label>
        <input
          ref={input}
          id="proof"
          type="file"
          accept=".tlog-proof,text/plain"
          onChange={() => void take(input.current?.files?.[0])}
        />
      </div>
      {wrong === '' ? null : (
        <p class="wrong" role="alert">
          {wrong}
        </p>
      )}
      {check === undefined ? null : (
        <>
          <h2 class="file">{name}</h2>
          <Verdict check={check} expected={NAME_STEPS}>
            {check.proven === undefined ? null : <Sentence proven={check.proven} />}
          </Verdict>
          {check.proven === undefined ? null : <Contents proven={check.proven} />}
        </>
      )}
    </article>
  )
}

function Sentence({ proven: { entries, kind, name = '', tree } }: { proven: Proven }) {
  const what =
    kind === 'entry'
      ? `This entry is in the log ${tree.origin}`
      : entries.length === 0
        ? `Nothing was logged about ${nameText(name)} in ${tree.origin}`
        : `This is all that ${tree.origin} held about ${kind === 'zone' ? `the keys of ${nameText(name)}` : nameText(name)}`
  const closed = tree.time === undefined ? '' : `, closed ${timeText(tree.time)}`
  return (
    <p>
      {what}, in its tree of {counted(tree.size, 'entry', 'entries')}
      {closed}. The file cannot know what was logged later.
    </p>
  )
}

function Contents({ proven: { entries, kind, name = '', tree } }: { proven: Proven }) {
  const timeline = timelineOf(statesOf(entries), tree.time ?? Date.now(), MAX_LANES)
  return (
    <>
      {kind === 'name' && entries.length > 0 ? (
        <TimelineView
          timeline={timeline}
          label={keyText}
          edge={tree.time === undefined ? 'now' : dateText(tree.time)}
          title={`Timeline of ${nameText(name)}, listed below`}
        />
      ) : null}
      <EntryList
        entries={entries}
        titleOf={(entry, i) =>
          entry.change === undefined ? <EntryTitle entry={entry} /> : changeTitle(entry, i === 0)
        }
        meaningOf={changeMeaning}
      />
    </>
  )
}
