/** docker-compose.yml, as far as it is ours. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import { REPOSITORY } from '../repository.ts'
import type { Service } from './services.ts'

/** One service of it. */
export interface ComposeService {
  readonly image: string
  readonly build?: string
  readonly entrypoint?: readonly string[]
  readonly command?: readonly string[]
  readonly environment?: Readonly<Record<string, string>>
  readonly secrets?: readonly string[]
  readonly volumes?: readonly string[]
  readonly ports?: readonly string[]
  readonly profiles?: readonly string[]
  readonly read_only?: boolean
  readonly cap_drop?: readonly string[]
  readonly security_opt?: readonly string[]
  readonly restart?: string
  readonly healthcheck?: { readonly test: readonly string[] }
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>
}

export interface Compose {
  readonly services: Readonly<
    Record<Service | `migrate-${Service}` | 'policy' | 'postgres' | 'reader', ComposeService>
  > &
    Readonly<Record<string, ComposeService>>
  readonly volumes: Readonly<Record<string, unknown>>
  readonly secrets: Readonly<Record<string, { readonly file: string }>>
}

export function readCompose(): Compose {
  const text = readFileSync(join(REPOSITORY, 'docker-compose.yml'), 'utf8')
  return parse(text, { merge: true }) as Compose
}
