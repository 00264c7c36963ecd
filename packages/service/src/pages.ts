/**
 * What is too much to be read at once, page by page: each is asked for behind the last of the one before, until one is empty.
 *
 * @param read the rows that come after `last`, or the first ones
 */
export async function* pagesOf<T>(
  read: (last: T | undefined) => Promise<readonly T[]>,
): AsyncGenerator<readonly T[], void, undefined> {
  for (let last: T | undefined; ;) {
    const page = await read(last)
    if (page.length === 0) return
    yield page
    last = page.at(-1)
  }
}
