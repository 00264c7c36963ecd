import { afterAll, describe } from 'vitest'
import { Places } from '../place.ts'
import { crashTests } from './crash-tests.ts'

const places = await Places.open(['postgres'])
afterAll(() => places.close())

describe.skipIf(places.postgres === undefined)('a log on a server', () => {
  crashTests(places, 'postgres')
})
