import { spawnSync } from 'node:child_process'
import { describe, expect, it, onTestFinished } from 'vitest'
import { onTestPoint, testPoint } from '@dslog/service/testpoint'

const source = new URL('../src/testpoint.ts', import.meta.url).href

/** A process that passes `a` three times and `b` once. */
function passThrough(crash: string | undefined) {
  const code = `import { testPoint } from '${source}'
    for (const name of ['a', 'a', 'b', 'a']) { testPoint(name); console.log(name) }`
  const { signal, stdout } = spawnSync(
    process.execPath,
    ['--import', 'tsx', '--input-type=module', '-e', code],
    { env: { ...process.env, DSLOG_TEST_CRASH: crash } },
  )
  return { signal, passed: stdout.toString().replaceAll('\n', '') }
}

describe('DSLOG_TEST_CRASH', () => {
  it.each([
    [undefined, null, 'aaba'],
    ['', null, 'aaba'],
    ['c', null, 'aaba'],
    ['a', 'SIGKILL', ''],
    ['a:2', 'SIGKILL', 'a'],
    ['a:3', 'SIGKILL', 'aab'],
    ['a:4', null, 'aaba'],
    ['b', 'SIGKILL', 'aa'],
  ])('%s', (crash, signal, passed) => {
    expect(passThrough(crash)).toEqual({ signal, passed })
  })
})

it('calls a hook in this process, until it is taken away', () => {
  testPoint('before')
  const names: string[] = []
  const remove = onTestPoint((name) => {
    names.push(name)
    if (name === 'fails') throw new Error('injected')
  })
  onTestFinished(remove)
  testPoint('one')
  expect(() => testPoint('fails')).toThrow('injected')
  remove()
  testPoint('after')
  expect(names).toEqual(['one', 'fails'])
})
