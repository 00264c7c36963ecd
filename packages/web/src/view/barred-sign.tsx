/** The mark of a key that its owner does not allow: in the picture, its legend, and the list below it. */

/** How far it reaches from its middle. */
const REACH = 9

/** In a picture, around a point. */
export function BarredMark({ x, y }: { x: number; y: number }) {
  return (
    <g class="barred-mark" transform={`translate(${x} ${y})`}>
      <path class="sign" d={`M0 ${-REACH}L${REACH} ${REACH - 1}H${-REACH}z`} />
      <path class="stroke" d="M0 -3.5v5.5M0 5v0.5" />
    </g>
  )
}

/** In a text, which says the same in words. */
export function BarredSign() {
  return (
    <svg class="sign" aria-hidden="true" width="18" height="18" viewBox="-10 -10 20 20">
      <BarredMark x={0} y={0} />
    </svg>
  )
}
