/** What services say, to nobody. */
import { createLogger } from '@dslog/service/log'

export const silent = createLogger({ service: 'test', level: 'silent' })
