/** Where the built page lies, for those who serve it. */

/** Folder of the built page: `index.html`, and `assets/` with names that change with their content. */
export const SITE: URL = new URL('../dist/site/', import.meta.url)
