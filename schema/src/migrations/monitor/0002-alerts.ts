/** Subscriptions, what was found for them, and what is to be delivered; see AlertTables in alertdb.ts. */
import { type Kysely, type Migration, sql } from 'kysely'

export const alertTables: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await subscriptions(db)
    await sql`
      create table alert (
        id text primary key,
        seq int8 not null unique generated always as identity,
        subscription text not null references subscription on delete cascade,
        rule text not null,
        cause text not null,
        level smallint not null,
        revision int not null,
        name bytea not null,
        origin text,
        idx int8,
        indices text not null,
        before bytea,
        after bytea,
        why text not null,
        first_at int8 not null,
        last_at int8 not null,
        raised_at int8 not null,
        resolved_at int8,
        resolution text,
        acknowledged_at int8
      )`.execute(db)
    await sql`create index alert_by_subscription on alert (subscription, seq)`.execute(db)
    await sql`
      create table outbox (
        id int8 generated always as identity primary key,
        channel text not null references channel on delete cascade,
        message text not null,
        event text not null,
        alert text references alert on delete cascade,
        data text,
        state text not null,
        created_at int8 not null,
        attempts int not null default 0,
        sent_at int8,
        last_error text,
        unique (channel, message)
      )`.execute(db)
    // The next of each channel is looked for all the time; most of the table has been sent.
    await sql`create index outbox_next on outbox (channel, id) where state = 'waiting'`.execute(db)
    await sql`create index outbox_kept on outbox (channel, id) where state <> 'sent'`.execute(db)
    await sql`create index outbox_by_alert on outbox (alert)`.execute(db)
  },
}

async function subscriptions(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table subscription (
      id text primary key,
      source text not null,
      name bytea not null,
      path bytea not null,
      subtree boolean not null,
      active boolean not null,
      token_hash bytea,
      token_channel text,
      created_at int8 not null,
      confirmed_at int8,
      blind_since int8
    )`.execute(db)
  await sql`create index subscription_by_path on subscription (path, id)`.execute(db)
  await sql`
    create table channel (
      id text primary key,
      subscription text not null references subscription on delete cascade,
      kind text not null,
      target text not null,
      secret bytea,
      level smallint not null,
      state text not null,
      confirm_hash bytea,
      confirm_until int8,
      created_at int8 not null,
      confirmed_at int8,
      failing_since int8,
      last_error text,
      failures int not null default 0,
      retry_at int8,
      day int not null default 0,
      sent int not null default 0,
      digest_at int8 not null,
      unique (subscription, kind, target)
    )`.execute(db)
  await sql`
    create table pin_set (
      id int generated always as identity primary key,
      subscription text not null references subscription on delete cascade,
      seq int8 not null,
      not_after int8 not null,
      keys bytea not null,
      owner_key bytea,
      signature bytea,
      created_at int8 not null,
      effective_at int8 not null,
      confirm_hash bytea,
      confirm_channel text
    )`.execute(db)
  await sql`create index pin_set_by_subscription on pin_set (subscription, id)`.execute(db)
  await sql`
    create table change_window (
      id int generated always as identity primary key,
      subscription text not null references subscription on delete cascade,
      begins_at int8 not null,
      ends_at int8 not null,
      unsigned boolean not null,
      note text not null,
      created_at int8 not null
    )`.execute(db)
  await sql`create index change_window_by_subscription on change_window (subscription)`.execute(db)
  await sql`
    create table opt_in (
      id int generated always as identity primary key,
      target bytea not null,
      source bytea not null,
      at int8 not null
    )`.execute(db)
  await sql`create index opt_in_by_target on opt_in (target, at)`.execute(db)
  await sql`create index opt_in_by_source on opt_in (source, at)`.execute(db)
}
