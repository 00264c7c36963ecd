import { spawnSync } from 'node:child_process'
import { describe, expect, it } from 'vitest'
import { isRunningProcess, processIdentity } from '../src/lock.ts'

describe('the identity of a process', () => {
  const own = () => JSON.parse(processIdentity()) as { pid: number; start: string; space: string }

  it('is recognised while it runs', () => {
    expect(processIdentity()).toBe(processIdentity())
    expect(isRunningProcess(processIdentity())).toBe(true)
  })

  it('is not that of another process with its pid', () => {
    expect(isRunningProcess(JSON.stringify({ ...own(), start: '1' }))).toBe(false)
  })

  it('is known to be gone', () => {
    const { pid } = spawnSync(process.execPath, ['-e', ''])
    expect(isRunningProcess(JSON.stringify({ ...own(), pid }))).toBe(false)
  })

  it('says nothing about another machine, and neither does anything else', () => {
    expect(isRunningProcess(JSON.stringify({ ...own(), space: 'elsewhere' }))).toBeUndefined()
    for (const text of ['', '{', 'null', '{}', '{"pid":1}']) {
      expect(isRunningProcess(text)).toBeUndefined()
    }
  })
})
