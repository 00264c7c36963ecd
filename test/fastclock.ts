/** The clock of a process that goes so much faster than the machine's as DSLOG_TEST_SPEED says. */

const started = Date.now()
const speed = Number(process.env['DSLOG_TEST_SPEED'] ?? 1)

export const clock = (): number => started + (Date.now() - started) * speed
