/** The processes of this machine (Linux, /proc). */
import { readdirSync, readFileSync } from 'node:fs'

/** Of USER_HZ: the same on every Linux. */
const TICKS_A_SECOND = 100

/** A process. */
export interface Process {
  readonly parent: number
  readonly command: string
  /** Seconds, those of children that have ended included. */
  readonly cpu: number
}

/** All of them, by their numbers. */
export function processes(): Map<number, Process> {
  const found = new Map<number, Process>()
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue
    try {
      const command = readFileSync(`/proc/${entry}/cmdline`, 'utf8').replaceAll('\0', ' ').trim()
      // Behind the name, which may hold anything but `)`.
      const fields = readFileSync(`/proc/${entry}/stat`, 'utf8').split(') ').at(-1)!.split(' ')
      const ticks = fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0)
      found.set(Number(entry), { parent: Number(fields[1]), command, cpu: ticks / TICKS_A_SECOND })
    } catch {
      // It has ended meanwhile.
    }
  }
  return found
}
