/**
 * A place that shows a log as static files (C2SP tlog-tiles): a folder (folder.ts) or a bucket of an
 * object store (bucket.ts). The order in which files go there is told in write.ts, when and what in
 * publisher.ts.
 */

/** Path of the checkpoint, relative to the log's prefix. */
export const CHECKPOINT_PATH = 'checkpoint'

/** The checkpoint that a place shows. */
export interface HeldCheckpoint {
  readonly note: string
  /** Names this version of the file where the place tells versions apart: an ETag. */
  readonly version?: string
}

/** Where published files go. */
export interface PublishTarget {
  /** For messages and metrics; no secret. */
  readonly name: string

  /** `undefined` where no log has been published yet. */
  checkpoint(): Promise<HeldCheckpoint | undefined>

  /** Stores a tile or bundle durably. One that is there with the same bytes stays as it is. */
  put(path: string, data: Uint8Array): Promise<void>

  /** Deletes the partial files of a tile or bundle, whose full file has this path. */
  dropPartials(path: string): Promise<void>

  /**
   * Shows another checkpoint in the place of `over`.
   *
   * @throws PublishError `changed` if another one is shown meanwhile
   */
  show(note: string, over: HeldCheckpoint | undefined): Promise<void>
}

/** Why a tree was not published. */
export type PublishErrorCode =
  | 'changed' // somebody else published there at the same time: look again
  | 'foreign' // what is there is not of this log
  | 'storage' // the place does not answer, or not as it should

/** Publishing a tree failed; the log itself is not concerned. */
export class PublishError extends Error {
  override readonly name = 'PublishError'
  readonly code: PublishErrorCode

  constructor(code: PublishErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.code = code
  }
}
