/** Draws a timeline: a lane for each record, a bar for each span in which it was in force. */
import { useEffect, useRef, useState } from 'preact/hooks'
import { DAY } from '@dslog/schema/time'
import { counted } from '@dslog/verify/counted'
import { type Mark, spaced, type Timeline } from '../timeline.ts'
import { shortTimeText, dateText } from '../words.ts'
import { BarredMark, BarredSign } from './barred-sign.tsx'

const LANE = 42
const BAR = 12
const TOP = 16
/** Between the last lane and the axis, and below that. */
const GROUND = 8
const BOTTOM = 30
/** Room at both sides for what stands on the first and last moment. */
const SIDE = 10
/** Lanes that are drawn: more would be no picture. */
export const MAX_LANES = 16
/** Below this, the hour matters. */
const SHORT_MS = 3 * DAY
/** Width of a date on the axis, and of a letter of other words there. */
const DATE_WIDTH = 88
const LETTER = 7.5
const DATE_GAP = 8

export interface TimelineProps {
  readonly timeline: Timeline
  /** What stands above the lane of a record. */
  readonly label: (record: string) => string
  /** The whole picture in words. */
  readonly title: string
  /** What the right edge is. */
  readonly edge?: string
  /** Records that should not be there. */
  readonly barred?: ReadonlySet<string>
  /** What the mark of these says. */
  readonly legend?: string
}

const NONE: ReadonlySet<string> = new Set()

export function TimelineView({
  barred = NONE,
  edge = 'now',
  label,
  legend = '',
  timeline,
  title,
}: TimelineProps) {
  const frame = useRef<HTMLElement>(null)
  const [width, setWidth] = useState(640)
  useEffect(() => {
    const element = frame.current
    if (element === null) return
    const observer = new ResizeObserver(([entry]) => {
      if (entry !== undefined) setWidth(Math.max(220, Math.round(entry.contentRect.width)))
    })
    observer.observe(element)
    return () => observer.disconnect()
  }, [])
  const { hidden, marks, rows } = timeline
  const height = TOP + Math.max(1, rows.length) * LANE + GROUND + BOTTOM
  const x = (at: number): number => Math.round(SIDE + at * (width - 2 * SIDE))
  const floor = height - BOTTOM
  // Within a few days, dates would all be the same.
  const isShort = (marks.at(-1)?.time ?? 0) - (marks[0]?.time ?? 0) < SHORT_MS
  const dates = writable(
    marks.map(({ at }) => labelBox(x(at), width)),
    [width - SIDE - edge.length * LETTER, width],
  )
  return (
    <figure class="timeline" ref={frame}>
      <svg
        role="img"
        aria-label={title}
        width={width}
        height={height}
        viewBox={`0 0 ${width} ${height}`}
      >
        {marks.map((mark) => (
          <line
            key={mark.index}
            class={`mark ${mark.kind}`}
            x1={x(mark.at)}
            x2={x(mark.at)}
            y1={TOP - 4}
            y2={floor}
          />
        ))}
        <line class="axis" x1={SIDE} x2={width - SIDE} y1={floor} y2={floor} />
        {rows.map(({ bars, record }, lane) => {
          const y = TOP + lane * LANE
          return (
            <g key={record} class={barred.has(record) ? 'barred' : ''}>
              <text class="lane" x={SIDE} y={y + 14}>
                {label(record)}
              </text>
              <line class="rail" x1={SIDE} x2={width - SIDE} y1={y + 28} y2={y + 28} />
              {bars.map((bar) => (
                <rect
                  key={`${bar.since} ${bar.odd}`}
                  class={bar.odd ? 'held odd' : bar.open ? 'held open' : 'held'}
                  x={x(bar.from)}
                  y={y + 28 - BAR / 2}
                  width={Math.max(BAR, x(bar.to) - x(bar.from))}
                  height={BAR}
                  rx={BAR / 2}
                />
              ))}
              {barred.has(record)
                ? bars.map(({ from, since }) => (
                    <BarredMark key={since} x={x(from) + BAR / 2} y={y + 28} />
                  ))
                : null}
            </g>
          )
        })}
        {marks.map((mark, i) => (
          <g key={mark.index}>
            <Dot kind={mark.kind} x={x(mark.at)} y={floor} />
            {dates.has(i) ? (
              <text
                class="date"
                x={x(mark.at)}
                y={height - 8}
                text-anchor={anchorAt(x(mark.at), width)}
              >
                {isShort ? shortTimeText(mark.time) : dateText(mark.time)}
              </text>
            ) : null}
          </g>
        ))}
        <text class="date" x={width - SIDE} y={height - 8} text-anchor="end">
          {edge}
        </text>
      </svg>
      <figcaption class="quiet">
        {hidden === 0 ? null : (
          <p>{counted(hidden, 'older key is', 'older keys are')} not drawn, but listed below.</p>
        )}
        {legend === '' ? null : (
          <p>
            <BarredSign /> {legend}
          </p>
        )}
        <Meanings marks={marks} />
      </figcaption>
    </figure>
  )
}

/** Dates at the sides grow inwards. */
function anchorAt(x: number, width: number): 'start' | 'middle' | 'end' {
  if (x < DATE_WIDTH / 2) return 'start'
  return x > width - DATE_WIDTH / 2 ? 'end' : 'middle'
}

/** From where to where a date goes. */
function labelBox(x: number, width: number): [number, number] {
  const left = { start: x, middle: x - DATE_WIDTH / 2, end: x - DATE_WIDTH }[anchorAt(x, width)]
  return [left, left + DATE_WIDTH]
}

/** Which of the dates, by index, have room beside the words at the edge: the first and the newest before all others. */
function writable(
  boxes: readonly (readonly [number, number])[],
  edge: readonly [number, number],
): ReadonlySet<number> {
  const order = [...boxes.keys()]
  order.splice(1, 0, ...order.splice(-1))
  const fits = spaced([edge, ...order.map((i) => boxes[i]!)], DATE_GAP).slice(1)
  return new Set(order.filter((_, n) => fits[n]))
}

/** Marks that do not speak for themselves. */
const MEANINGS = [
  ['swapped', 'every key replaced at once'],
  ['removed', 'no key any more'],
  ['odd', 'signed out of order'],
] as const

/** What the marks that occur mean, for those who see them: the list below says it of each. */
function Meanings({ marks }: { marks: readonly Mark[] }) {
  const shown = MEANINGS.filter(([kind]) => marks.some((mark) => mark.kind === kind))
  return shown.map(([kind, meaning]) => (
    <p key={kind} aria-hidden="true">
      <svg class="sign" width="18" height="18" viewBox="-10 -10 20 20">
        <Dot kind={kind} x={0} y={0} />
      </svg>{' '}
      {meaning}
    </p>
  ))
}

/** What happened, told by form as well as by colour. */
function Dot({ kind, x, y }: { kind: Mark['kind']; x: number; y: number }) {
  if (kind === 'odd') {
    return <path class="dot odd" d={`M${x} ${y - 7}l7 7l-7 7l-7 -7z`} />
  }
  if (kind === 'removed') {
    return <path class="dot removed" d={`M${x - 5} ${y - 5}l10 10m0 -10l-10 10`} />
  }
  return <circle class={`dot ${kind}`} cx={x} cy={y} r={kind === 'added' ? 6 : 5} />
}
