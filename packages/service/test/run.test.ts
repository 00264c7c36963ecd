import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { afterEach, describe, expect, it } from 'vitest'
import { createLogger } from '@dslog/service/log'
import { Lifecycle } from '@dslog/service/run'
import type { Component } from '@dslog/service/run'

const quiet = createLogger({ service: 'test', level: 'silent' })

/** Components that write down what happens to them. */
function recording(names: string[], log: string[], override: Record<string, Partial<Component>>) {
  return names.map((name): Component => ({
    name,
    start: () => void log.push(`+${name}`),
    stop: () => void log.push(`-${name}`),
    ...override[name],
  }))
}

describe('Lifecycle', () => {
  it('starts in order and stops in reverse, once', async () => {
    const log: string[] = []
    const life = new Lifecycle(recording(['a', 'b', 'c'], log, {}), quiet)
    await life.start()
    await Promise.all([life.stop(), life.stop()])
    expect(log).toEqual(['+a', '+b', '+c', '-c', '-b', '-a'])
  })

  it('waits for one start before the next', async () => {
    const log: string[] = []
    const slow = async () => {
      await new Promise((resolve) => setTimeout(resolve, 10))
      log.push('+a')
    }
    const life = new Lifecycle(recording(['a', 'b'], log, { a: { start: slow } }), quiet)
    await life.start()
    expect(log).toEqual(['+a', '+b'])
  })

  it('takes back what has started when a start fails', async () => {
    const log: string[] = []
    const fails = { start: () => Promise.reject(new Error('no port')) }
    const life = new Lifecycle(recording(['a', 'b', 'c'], log, { b: fails }), quiet)
    await expect(life.start()).rejects.toThrow('no port')
    expect(log).toEqual(['+a', '-a'])
  })

  it('does not start the rest when it is stopped meanwhile', async () => {
    const log: string[] = []
    let proceed = (): void => {}
    const slow = { start: () => new Promise<void>((resolve) => (proceed = resolve)) }
    const life = new Lifecycle(recording(['a', 'b', 'c'], log, { b: slow }), quiet)
    const starting = life.start()
    await new Promise((resolve) => setImmediate(resolve))
    const stopping = life.stop()
    proceed()
    await Promise.all([starting, stopping])
    expect(log).toEqual(['+a', '-b', '-a'])
  })

  it('stops the others when one does not stop, and says so', async () => {
    const log: string[] = []
    const fails = {
      stop: () => {
        throw new Error('stuck')
      },
    }
    const life = new Lifecycle(recording(['a', 'b', 'c'], log, { b: fails }), quiet)
    await life.start()
    await expect(life.stop()).rejects.toThrow('stuck')
    expect(log).toEqual(['+a', '+b', '+c', '-c', '-a'])
  })

  it('reports the first failure of a component that runs', async () => {
    let fail = (_error: unknown): void => {}
    const lines: string[] = []
    const logger = createLogger({ service: 't', destination: { write: (l) => lines.push(l) } })
    const life = new Lifecycle([{ name: 'loop', start: (f) => void (fail = f) }], logger)
    await life.start()
    fail(new Error('first'))
    fail(new Error('second'))
    expect(await life.failed).toEqual(new Error('first'))
    expect(lines.join('')).toContain('"component":"loop"')
    await life.stop()
    const before = lines.length
    fail(new Error('of what is stopped anyway'))
    expect(lines.length).toBe(before)
  })
})

const children: ChildProcess[] = []
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
})

/** Runs a process with two components; `body` may refer to `fail`, and what they do is printed. */
function program(body: string, stopB = '', options = '') {
  const at = (file: string) => new URL(`../src/${file}.ts`, import.meta.url).href
  const code = `
    import { createLogger } from '${at('log')}'
    import { runProcess } from '${at('run')}'
    const logger = createLogger({ service: 'p', destination: process.stderr })
    const say = (text) => process.stdout.write(text + ' ')
    await runProcess([
      { name: 'a', start() { say('+a') }, stop() { say('-a') } },
      { name: 'b', async start(fail) { say('+b'); setInterval(() => {}, 1000); ${body} },
        async stop() { say('-b'); ${stopB} } },
    ], { logger, stopLimit: 300, ${options} })
    say('up')`
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', code], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  children.push(child)
  let said = ''
  let log = ''
  child.stdout.on('data', (chunk) => (said += chunk))
  child.stderr.on('data', (chunk) => (log += chunk))
  const exit = once(child, 'close').then(([code, signal]) => ({ code, signal }))
  return {
    child,
    exit,
    said: () => said.trim(),
    log: () => log,
  }
}

describe('runProcess', () => {
  it.each(['SIGTERM', 'SIGINT'] as const)('stops in order on %s, with code 0', async (signal) => {
    const { child, exit, said } = program('')
    await expect.poll(said).toBe('+a +b up')
    child.kill(signal)
    expect(await exit).toEqual({ code: 0, signal: null })
    expect(said()).toBe('+a +b up -b -a')
  })

  it('takes all down, with code 1, when a component fails', async () => {
    const { exit, said, log } = program(`setTimeout(() => fail(new Error('lost the lock')), 50)`)
    expect(await exit).toEqual({ code: 1, signal: null })
    expect(said()).toBe('+a +b up -b -a')
    expect(log()).toContain('lost the lock')
  })

  it('takes back what has started, with code 1, when a start fails', async () => {
    const { exit, said, log } = program(`throw new Error('no port')`)
    expect(await exit).toEqual({ code: 1, signal: null })
    expect(said()).toBe('+a +b -a')
    expect(log()).toContain('no port')
  })

  it.each([`throw new Error('no port')`, `setTimeout(() => fail(new Error('no port')), 50)`])(
    'lets the program choose the code after %s',
    async (body) => {
      const choose = `onFailure: (error) => { say(error.message); return 3 }`
      const { exit, said } = program(body, '', choose)
      expect(await exit).toEqual({ code: 3, signal: null })
      expect(said()).toMatch(/-a no port$/)
    },
  )

  it.each([
    [`setTimeout(() => { throw new Error('a bug') }, 50)`],
    [`setTimeout(() => Promise.reject(new Error('a bug')), 50)`],
  ])('takes all down, with code 1, after %s', async (body) => {
    const { exit, said, log } = program(body)
    expect(await exit).toEqual({ code: 1, signal: null })
    expect(said()).toBe('+a +b up -b -a')
    expect(log()).toContain('a bug')
  })

  it('does not wait for ever', async () => {
    const { child, exit, said } = program('', 'await new Promise(() => {})')
    await expect.poll(said).toBe('+a +b up')
    child.kill('SIGTERM')
    expect(await exit).toEqual({ code: 1, signal: null })
  })

  it('stops at once on a second signal', async () => {
    const { child, exit, said } = program('', 'await new Promise((r) => setTimeout(r, 250))')
    await expect.poll(said).toBe('+a +b up')
    child.kill('SIGTERM')
    await expect.poll(said).toBe('+a +b up -b')
    child.kill('SIGTERM')
    expect(await exit).toEqual({ code: 1, signal: null })
    expect(said()).toBe('+a +b up -b')
  })
})
