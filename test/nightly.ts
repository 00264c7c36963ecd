/** Whether tests may take as long as a night has. */
export const nightly: boolean = process.env['DSLOG_TEST_NIGHTLY'] !== undefined

/** How many times as many cases are made up at random then. */
export const TIMES: number = nightly ? 20 : 1
