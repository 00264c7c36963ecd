/** The places that a log is published to, as its configuration names them, and what an operator sees of them. */
import { parseVkey } from '@dslog/tlog/key'
import { verifierOf } from '@dslog/tlog/cosignature'
import { ConfigError } from '@dslog/service/config'
import type { Logger } from '@dslog/service/log'
import type { Metrics } from '@dslog/service/metrics'
import type { LogConfig } from '../config.ts'
import type { OpenedLog } from '../main.ts'
import { BucketTarget } from './bucket.ts'
import { FolderTarget } from './folder.ts'
import { Publisher } from './publisher.ts'
import type { PublishTarget } from './target.ts'

/** @throws ConfigError if a bucket is named without keys */
export function targetsOf(config: LogConfig): PublishTarget[] {
  const { publishAccessKey, publishBucket, publishFolder, publishPrefix, publishRegion } = config
  const targets: PublishTarget[] = []
  if (publishFolder !== undefined) targets.push(new FolderTarget(publishFolder))
  if (publishBucket === undefined) return targets
  const { publishSecretKey } = config
  if (publishAccessKey === undefined || publishSecretKey === undefined) {
    throw new ConfigError(['DSLOG_LOG_PUBLISH_S3_URL needs an access key and its secret key'])
  }
  targets.push(
    new BucketTarget({
      endpoint: publishBucket,
      prefix: publishPrefix,
      region: publishRegion,
      accessKey: publishAccessKey.reveal(),
      secretKey: publishSecretKey.reveal(),
    }),
  )
  return targets
}

/** A publisher for each of them. */
export function publishersOf(
  { context, log, sequencer }: OpenedLog,
  config: LogConfig,
  logger: Logger,
): Publisher[] {
  const verifiers = context.vkeys.map((vkey) => verifierOf(parseVkey(vkey)))
  return targetsOf(config).map((target) => {
    const onPublished = (listener: () => void): (() => void) => sequencer.onPublished(listener)
    return new Publisher({ log, target, verifiers, logger, onPublished })
  })
}

/** Numbers that tell whether a place keeps up. */
export function observePublishers(publishers: readonly Publisher[], metrics: Metrics): void {
  const each = (read: (publisher: Publisher) => number) => (gauge: LabelledGauge) => {
    for (const publisher of publishers) gauge.set({ target: publisher.name }, read(publisher))
  }
  const labels = ['target'] as const
  metrics.gauge({
    name: 'dslog_publish_size',
    help: 'Entries of the tree that a published folder or bucket shows',
    labels,
    collect: each(({ state }) => state.size),
  })
  metrics.gauge({
    name: 'dslog_publish_failures',
    help: 'Attempts to publish there that failed, since the start',
    labels,
    collect: each(({ state }) => state.failures),
  })
  metrics.gauge({
    name: 'dslog_publish_lag_seconds',
    help: 'Time for which a published folder or bucket has not shown the newest tree; 0 when it does',
    labels,
    collect: each(({ state: { behindSince } }) => {
      return behindSince === undefined ? 0 : (Date.now() - behindSince) / 1000
    }),
  })
}

interface LabelledGauge {
  set(labels: { target: string }, value: number): void
}
