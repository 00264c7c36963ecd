/** Limits that the page knows without the worker. */

/** Largest proof file, in bytes: that of @dslog/tlog/bundle, whose cryptography the page does without. */
export const MAX_FILE_BYTES = 16_777_216
