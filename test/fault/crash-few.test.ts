/** A few crashes at random with every push; all steps of the matrix, and hundreds at random, are of a night. */
import { afterAll, describe } from 'vitest'
import { Places } from '../place.ts'
import { randomCrashes } from './crash-tests.ts'

const CRASHES = 8

const places = await Places.open(['postgres'])
afterAll(() => places.close())

describe.skipIf(places.postgres === undefined)('a log on a server', () => {
  randomCrashes(places, 'postgres', CRASHES)
})
