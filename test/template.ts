/** Before the first test of a run: the template of empty databases, if no build has made it. */
import { makeTemplate } from '@dslog/service/template'

export async function setup(): Promise<void> {
  await makeTemplate()
}
