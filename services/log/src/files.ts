/** Where a log keeps what it has. */

/** Schema of its tables on a PostgreSQL server: a monitor on the same server has others of the same names. */
export const LOG_SCHEMA = 'log'

/** Files of a log in its data folder. */
export const LOG_FILES = {
  database: LOG_SCHEMA,
  key: 'log.key',
  signer: 'signer.json',
  /** What its own keys, and its witnesses, are trusted by. */
  policy: 'policy',
} as const
