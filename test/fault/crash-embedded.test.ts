import { afterAll, describe } from 'vitest'
import { Places } from '../place.ts'
import { crashTests } from './crash-tests.ts'

const places = await Places.open(['embedded'])
afterAll(() => places.close())

describe('a log in a folder', () => {
  crashTests(places, 'embedded')
})
