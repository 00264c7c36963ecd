/** A manual as a list of things to do: the fenced blocks of a Markdown text, by the heading that they stand under. */

/** What stands between fences. */
export interface Block {
  readonly section: string
  /** `sh`, `ini`, …; empty if not said. */
  readonly language: string
  readonly text: string
}

/** See the head of this file. Knows which blocks were taken. */
export class Manual {
  readonly #left: Block[]

  constructor(markdown: string) {
    this.#left = blocksOf(markdown)
  }

  /**
   * The next block of a section; with `holding`, the next that has this text.
   *
   * @throws RangeError there is none
   */
  take(section: string, holding = ''): Block {
    const index = this.#left.findIndex(
      (block) => block.section === section && block.text.includes(holding),
    )
    if (index === -1) throw new RangeError(`no more to do under "${section}" ${holding}`)
    return this.#left.splice(index, 1)[0]!
  }

  /** What nobody has taken. */
  get left(): readonly Block[] {
    return this.#left
  }
}

/** The file that a block is to be written to: a comment in its first line says so. */
export function fileOf({ text }: Block): string | undefined {
  return /^# (\/\S+)\n/.exec(text)?.[1]
}

function blocksOf(markdown: string): Block[] {
  const blocks: Block[] = []
  let section = ''
  for (const [, heading, language, text] of markdown.matchAll(
    /^#+ (.*)$|^```(\w*)\n([\s\S]*?)^```$/gm,
  )) {
    if (heading !== undefined) section = heading
    else blocks.push({ section, language: language!, text: text! })
  }
  return blocks
}
