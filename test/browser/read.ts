/**
 * Reading test data in a browser, from the server beside it (served-files.ts). Synchronously, as the tests read files:
 * they lay out their cases while they are loaded.
 */

function get(path: string): string | undefined {
  const request = new XMLHttpRequest()
  request.open('GET', `/@vectors/${path}`, false)
  request.send()
  return request.status === 200 ? request.responseText : undefined
}

/** The paths of all files below a folder, from the root of the data; undefined if there is no such folder. */
export function list(folder: string): string[] | undefined {
  const answer = get(`${folder}?list`)
  return answer === undefined ? undefined : (JSON.parse(answer) as string[])
}

/** The bytes of a file; with `unpack` those inside a gzip file. */
export function read(path: string, unpack: boolean): Uint8Array {
  const answer = get(unpack ? `${path}?unpack` : path)
  if (answer === undefined) throw new Error(`no test data at ${path}`)
  return Uint8Array.from(atob(answer), (char) => char.charCodeAt(0))
}
