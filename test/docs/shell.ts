/**
 * What the ```sh blocks of a document call, as far as a check of them needs it: words, quotes, comments,
 * lines that go on, here-documents, and what ends a command. No shell: nothing is expanded.
 */

/** A call of `dslog`: command, arguments and options. */
export type Call = readonly string[]

/** Calls of `dslog` in the ```sh blocks of a Markdown text, in order. */
export function dslogCalls(markdown: string): Call[] {
  const blocks = [...markdown.matchAll(/^ *```sh\n([\s\S]*?)^ *```$/gm)].map(([, block]) => block!)
  return blocks.flatMap(commandsOf).flatMap((words) => {
    const line = words.join('\0')
    const call = LEAD.exec(line)
    return call === null ? [] : [line.slice(call[0].length).split('\0').filter(Boolean)]
  })
}

/** What may stand before a call: settings, and who runs it how. */
const LEAD = new RegExp(
  [
    '^(?:(?:\\w+=[^\0]*|npx|node|env|sudo(?:\0-[nE])*(?:\0-u\0[^\0]+)?)\0)*',
    '(?:(?:[^\0]*/)?dslog(?:\\.js)?|docker\0compose\0run\0--rm(?:\0-e\0[^\0]+)*\0\\w+)(?:\0|$)',
  ].join(''),
)

const SINGLE = /^'[^']*'/
const DOUBLE = /^"(?:[^"\\]|\\[\s\S])*"/

/** The commands of a script, each as its words. */
export function commandsOf(script: string): string[][] {
  const commands: string[][] = [[]]
  let word: string | undefined
  const endWord = (): void => {
    if (word !== undefined) commands.at(-1)!.push(word)
    word = undefined
  }
  const endCommand = (): void => {
    endWord()
    if (commands.at(-1)!.length > 0) commands.push([])
  }
  // From here on only the lines of commands; what a here-document holds is no command.
  const text = script.replaceAll(/<<-?'?(\w+)'?(.*)\n[\s\S]*?^\1$/gm, '$2').replaceAll('\\\n', ' ')
  for (let i = 0; i < text.length; i++) {
    const char = text[i]!
    if (char === "'" || char === '"') {
      const quoted = (char === '"' ? DOUBLE : SINGLE).exec(text.slice(i))?.[0]
      if (quoted === undefined) throw new RangeError(`a quote is open: ${text.slice(i, i + 40)}`)
      word = (word ?? '') + quoted.slice(1, -1)
      i += quoted.length - 1
    } else if (char === '\\') {
      word = (word ?? '') + (text[++i] ?? '')
    } else if (char === '#' && word === undefined) {
      i = text.indexOf('\n', i)
      if (i === -1) break
      endCommand()
    } else if (/[\n;&|()]/.test(char)) {
      endCommand()
    } else if (char === '>' || char === '<') {
      // A place that something is written to or read from is no argument.
      endWord()
      i += /^[<>&]*\s*[^\s;&|]*/.exec(text.slice(i))![0].length - 1
    } else if (/\s/.test(char)) {
      endWord()
    } else {
      word = (word ?? '') + char
    }
  }
  endCommand()
  return commands.filter((words) => words.length > 0)
}
