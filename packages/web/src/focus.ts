/** Where reading goes on when what had the focus is gone: at a heading, which says what there is instead. */

/** Of the page, unless another is named. */
export function focusHeading(heading: HTMLElement | null = document.querySelector('h1')): void {
  if (heading === null) return
  heading.tabIndex = -1
  heading.focus({ preventScroll: true })
}
