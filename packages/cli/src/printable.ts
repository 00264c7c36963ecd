/**
 * Text of strangers on a terminal: a log, a monitor or a name server may have worded it. Control characters
 * could move the cursor or set the title (ECMA-48), those of bidirectional text could show a line in
 * another order than it has (UAX #9): neither gets out.
 */

/** Controls, C1 included, but not the line feed; marks, embeddings, overrides and isolates of bidirectional text. */
const UNPRINTABLE = /(?!\n)[\p{Cc}\u061C\u200E\u200F\u2028-\u202E\u2066-\u2069]/gu

/** The text with U+FFFD in the place of what does not print; lines stay lines. */
export function printable(text: string): string {
  return text.replaceAll(UNPRINTABLE, '\uFFFD')
}

/** JSON of a value, on one line: what does not print is escaped in its strings, so it parses to the same value. */
export function printableJson(value: object): string {
  return JSON.stringify(value).replaceAll(UNPRINTABLE, (char) => {
    return `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`
  })
}
