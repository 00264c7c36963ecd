/** The services that a deployment is made of, and what each can be told by its environment. */
import { CRAWLER_CONFIG } from '@dslog/crawler/config'
import { LOG_CONFIG } from '@dslog/log/config'
import { MONITOR_CONFIG } from '@dslog/monitor/config'
import type { Table } from '@dslog/service/config'

const TABLES = {
  log: LOG_CONFIG,
  crawler: CRAWLER_CONFIG,
  monitor: MONITOR_CONFIG,
} as const satisfies Record<string, Table>

export type Service = keyof typeof TABLES

export const SERVICES: readonly Service[] = Object.keys(TABLES) as Service[]

/** Every setting of a service, with its default. */
export function settingsOf(service: Service): Map<string, string | undefined> {
  const table: Table = TABLES[service]
  return new Map(Object.values(table).map((key) => [key.name, key.default]))
}
