/** Test points of the product, passed by one test alone. */
import { onTestFinished } from 'vitest'
import { onTestPoint, type TestHook } from '@dslog/service/testpoint'

/** Installs a hook until the test ends, however it does; call what it returns to take it away before. */
export function atTestPoint(hook: TestHook): () => void {
  const remove = onTestPoint(hook)
  onTestFinished(remove)
  return remove
}
