/** Crawlers write many rows of the same tables at a time, each in an order of its own. */

/** What PostgreSQL says to one of two who wait for each other. */
const DEADLOCK = '40P01'
/** How often that is taken before it is a fault. */
const MAX_DEADLOCKS = 10

/**
 * Does something again where the database has chosen it to give way: who is told to stand back has changed nothing.
 *
 * @param work a statement, or a whole transaction
 */
export async function despiteDeadlock<T>(work: () => Promise<T>): Promise<T> {
  for (let times = 1; ; times++) {
    try {
      return await work()
    } catch (error) {
      if ((error as { code?: unknown }).code !== DEADLOCK || times === MAX_DEADLOCKS) throw error
    }
  }
}
