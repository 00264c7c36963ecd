/** Numbers in texts for people: in mails, on the command line and in the explorer alike. */

const NUMBER = new Intl.NumberFormat('en')

/** A number and what it counts: `1 entry`, `12,345 entries`. */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${NUMBER.format(count)} ${count === 1 ? one : many}`
}
