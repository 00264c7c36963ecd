/**
 * Named points at which a test makes the process die, or looks inside: `testPoint('log.signed')` between two effects that
 * a crash must be able to part. In production a call is one comparison.
 *
 *   DSLOG_TEST_CRASH=log.signed      SIGKILL at the first pass
 *   DSLOG_TEST_CRASH=log.signed:3    SIGKILL at the third
 */

/** Called at each pass of any point; a thrown error comes out of `testPoint`. */
export type TestHook = (name: string) => void

let active: TestHook | undefined = crashFromEnvironment(process.env['DSLOG_TEST_CRASH'])

/** Marks a place between two effects. */
export function testPoint(name: string): void {
  if (active !== undefined) active(name)
}

/** Installs a hook for a test in this process; call what it returns to take it away again. */
export function onTestPoint(hook: TestHook): () => void {
  const before = active
  active = hook
  return () => {
    active = before
  }
}

function crashFromEnvironment(setting: string | undefined): TestHook | undefined {
  if (setting === undefined || setting === '') return undefined
  const [wanted, passes = '1'] = setting.split(':')
  let left = Number(passes)
  return (name) => {
    // SIGKILL, not exit(): no handler may run, as in a power cut.
    if (name === wanted && --left === 0) process.kill(process.pid, 'SIGKILL')
  }
}
