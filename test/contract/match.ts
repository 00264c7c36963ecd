/**
 * What an answer must look like. Text matches what it equals, or an expression in slashes, whose named
 * groups become values for what comes later: `${name}`. JSON matches JSON of the same shape:
 *
 *     {"status": "/^logged$/", "index": 3, "...": "..."}    other members may be there
 *     [{"name": "a.fi."}, "..."]                            other items may follow
 *
 * and is written as JSON is, so an expression within has its backslashes twice. A text that is one
 * value and nothing else stands for that value with its type: `"${size}"` is the number.
 */

/** Values by name: those of the world, made when asked for, and those found on the way. */
export class Values {
  readonly #world: (name: string) => unknown
  readonly #found = new Map<string, unknown>()

  constructor(world: (name: string) => unknown) {
    this.#world = world
  }

  get(name: string): unknown {
    const value = this.#found.get(name) ?? this.#world(name)
    if (value === undefined) throw new Error(`nothing is called ${name}`)
    return value
  }

  /** A text with its values in place, each changed by `write`. */
  fill(text: string, write: (value: string) => string = (value) => value): string {
    return text.replaceAll(/\$\{([^}]+)\}/g, (_, name: string) => write(String(this.get(name))))
  }

  /** Matches a text, number or other plain value; says why not. */
  match(pattern: string, actual: unknown): string | undefined {
    const expression = expressionOf(pattern)
    if (expression === undefined) {
      const whole = /^\$\{([^}]+)\}$/.exec(pattern)?.[1]
      const expected = whole === undefined ? this.fill(pattern) : this.get(whole)
      return Object.is(expected, actual) ? undefined : `${show(actual)} is not ${show(expected)}`
    }
    const escape = (value: string): string => value.replaceAll(/[\\^$.*+?()[\]{}|/]/g, '\\$&')
    const found = new RegExp(this.fill(expression, escape), 'm').exec(String(actual))
    if (found === null) return `${show(actual)} does not match ${pattern}`
    for (const [name, value] of Object.entries(found.groups ?? {})) {
      this.#found.set(name, typeof actual === 'number' ? Number(value) : value)
    }
    return undefined
  }

  /** Matches JSON; says where and why not. */
  matchJson(expected: unknown, actual: unknown, at = '#'): string | undefined {
    if (typeof expected === 'string') return prefixed(at, this.match(expected, actual))
    if (Array.isArray(expected)) {
      if (!Array.isArray(actual)) return `${at}: ${show(actual)} is not an array`
      const open = expected.at(-1) === REST
      const items = open ? expected.slice(0, -1) : expected
      if (actual.length < items.length || (!open && actual.length > items.length)) {
        return `${at}: ${actual.length} items`
      }
      return first(items, (item, i) => this.matchJson(item, actual[i], `${at}/${i}`))
    }
    if (typeof expected === 'object' && expected !== null) {
      if (typeof actual !== 'object' || actual === null || Array.isArray(actual)) {
        return `${at}: ${show(actual)} is not an object`
      }
      const { [REST]: rest, ...members } = expected as Record<string, unknown>
      const given = actual as Record<string, unknown>
      const more = Object.keys(given).filter((name) => !Object.hasOwn(members, name))
      if (rest === undefined && more.length > 0) return `${at}: unexpected ${more.join(', ')}`
      return first(Object.entries(members), ([name, value]) =>
        Object.hasOwn(given, name)
          ? this.matchJson(value, given[name], `${at}/${name}`)
          : `${at}: no ${name}`,
      )
    }
    return Object.is(expected, actual)
      ? undefined
      : `${at}: ${show(actual)} is not ${show(expected)}`
  }
}

/** Stands for all other members, or for further items. */
const REST = '...'

/** The expression that is written in slashes. */
export function expressionOf(pattern: string): string | undefined {
  return /^\/(.+)\/$/.exec(pattern)?.[1]
}

function first<T>(
  items: readonly T[],
  look: (item: T, i: number) => string | undefined,
): string | undefined {
  for (const [i, item] of items.entries()) {
    const fault = look(item, i)
    if (fault !== undefined) return fault
  }
  return undefined
}

function prefixed(at: string, fault: string | undefined): string | undefined {
  return fault === undefined ? undefined : `${at}: ${fault}`
}

function show(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing'
  return text.length > 300 ? `${text.slice(0, 300)}…` : text
}
