import { describe, expect, it } from 'vitest'
import { Output } from '../src/output.ts'
import { ProgressLine } from '../src/progress.ts'
import { Memory, testIo } from './io.ts'

describe('results', () => {
  it('are lines for people', () => {
    const io = testIo()
    const output = new Output({ json: false, quiet: false }, io)
    output.line('a line')
    output.event({ event: 'x' })
    output.raw('raw')
    output.note('a remark')
    expect(io.stdout.text).toBe('a line\nraw')
    expect(io.stderr.text).toBe('a remark\n')
  })

  it('are one object a line for programs', () => {
    const io = testIo()
    const output = new Output({ json: true, quiet: false }, io)
    output.line('a line')
    output.event({ event: 'x', text: 'two\nlines' })
    output.event({ event: 'y' })
    expect(io.stdout.text).toBe('{"event":"x","text":"two\\nlines"}\n{"event":"y"}\n')
    expect(io.stderr.text).toBe('')
  })

  it('come without remarks and progress if asked to be quiet', () => {
    const io = testIo({ tty: true })
    const output = new Output({ json: false, quiet: true }, io)
    output.note('a remark')
    const bar = output.progress('Working', 10)
    bar.step(5)
    bar.end()
    output.line('a line')
    expect(io.stdout.text).toBe('a line\n')
    expect(io.stderr.text).toBe('')
  })

  it('carry bytes as they are', () => {
    const io = testIo()
    new Output({ json: false, quiet: false }, io).raw(Uint8Array.of(0, 255, 10))
    expect([...io.stdout.bytes]).toEqual([0, 255, 10])
  })
})

describe('what strangers have worded', () => {
  const worded = 'a\u001b]0;title\u0007 b\u009b2J c\u202ed\u2066 e\u007f\r\tf\u2028'
  const shown = 'a\uFFFD]0;title\uFFFD b\uFFFD2J c\uFFFDd\uFFFD e\uFFFD\uFFFD\uFFFDf\uFFFD'

  it('moves no terminal', () => {
    const io = testIo()
    const output = new Output({ json: false, quiet: false }, io)
    output.line(worded)
    output.note(worded)
    output.line('two\nlines, bücher and 点看')
    expect(io.stdout.text).toBe(`${shown}\ntwo\nlines, bücher and 点看\n`)
    expect(io.stderr.text).toBe(`${shown}\n`)
  })

  it('is the same in JSON, in escapes', () => {
    const io = testIo()
    const output = new Output({ json: true, quiet: false }, io)
    output.event({ worded, [worded]: 1 })
    expect(io.stdout.text).toMatch(/^[\x20-\x7e]+\n$/)
    expect(JSON.parse(io.stdout.text)).toEqual({ worded, [worded]: 1 })
  })

  it('has no say in the colours', () => {
    const io = testIo({ tty: true })
    const output = new Output({ json: false, quiet: false }, io)
    output.change('+ \u001b[8mhidden')
    expect(io.stdout.text).toBe('\u001b[32m+ \uFFFD[8mhidden\u001b[39m\n')
  })
})

describe('colours', () => {
  const colours = (tty: boolean, env: Record<string, string>) =>
    new Output({ json: false, quiet: false }, testIo({ tty, env })).colors.isColorSupported

  it('are for terminals', () => {
    expect(colours(true, {})).toBe(true)
    expect(colours(false, {})).toBe(false)
  })

  it('are left out where NO_COLOR is set to anything', () => {
    expect(colours(true, { NO_COLOR: '1' })).toBe(false)
    expect(colours(true, { NO_COLOR: '' })).toBe(true)
  })
})

describe('changes', () => {
  const shown = (tty: boolean) => {
    const io = testIo({ tty })
    const output = new Output({ json: false, quiet: false }, io)
    for (const line of ['+ a', '    - b', '~ c', 'd', '']) output.change(line)
    return io.stdout.text.split('\n')
  }

  it('are as they are, but on a terminal', () => {
    expect(shown(false)).toEqual(['+ a', '    - b', '~ c', 'd', '', ''])
  })

  it('have a colour each there', () => {
    const [came, went, changed, rest] = shown(true)
    expect(came).toContain('\u001B[32m')
    expect(went).toContain('\u001B[31m')
    expect(changed).toContain('\u001B[33m')
    expect(rest).toBe('d')
  })
})

describe('progress', () => {
  it('shows on a terminal only', () => {
    const io = testIo()
    const bar = new Output({ json: false, quiet: false }, io).progress('Working', 10)
    bar.step(5, 'half')
    bar.end()
    expect(io.stderr.text).toBe('')
  })

  it('makes room for lines, and is gone in the end', () => {
    const io = testIo({ tty: true })
    const output = new Output({ json: false, quiet: false }, io)
    const bar = output.progress('Working', 10)
    bar.step(5, 'half')
    output.line('a line')
    bar.step(6, 'more')
    bar.end()
    const frames = io.stderr.text.split('\r\u001B[K')
    expect(frames).toHaveLength(5)
    expect(frames[1]).toMatch(/^Working █{12}░{12} 5\/10 half$/)
    expect(frames[2]).toBe('')
    expect(frames[3]).toContain('6/10 more')
    expect(frames[4]).toBe('')
    expect(io.stdout.text).toBe('a line\n')
  })

  it('is drawn ten times a second at most', () => {
    const sink = new Memory(true)
    let now = 0
    const bar = new ProgressLine(sink, 'W', 100, () => now)
    for (let i = 0; i < 100; i++) {
      bar.step(i)
      now += 10
    }
    expect(sink.text.split('\r').length - 1).toBe(10)
  })

  it('never wraps', () => {
    const sink = new Memory(true, 40)
    new ProgressLine(sink, 'Working', 10).step(1, 'a very long message that would not fit')
    expect(sink.text.replace('\r\u001B[K', '')).toHaveLength(39)
  })

  it('of nothing is complete', () => {
    const sink = new Memory(true)
    new ProgressLine(sink, 'Working', 0).step(0)
    expect(sink.text).not.toContain('░')
  })

  it('does not overflow', () => {
    const sink = new Memory(true)
    new ProgressLine(sink, 'Working', 10).step(11)
    expect(sink.text).toContain('█'.repeat(24))
  })
})
