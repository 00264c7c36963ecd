-- Roles of dslog on PostgreSQL 15 or later. As a superuser, in each database that dslog uses: one may hold
-- all services, in a schema each, or each has its own. Run again, it changes nothing.
--
--   createdb dslog && psql -d dslog -f roles.sql
--   export DATABASE_URL=postgres://dslog_owner@…/dslog
--   dslog migrate --role dslog_log --reader dslog_log_reader
--   dslog migrate crawler --role dslog_crawler
--   dslog migrate monitor --role dslog_monitor
--   DATABASE_URL=postgres://dslog_log@…/dslog dslog log
--
-- Then give each a password (\password dslog_log). Who may do what with which table is granted by
-- `dslog migrate`, after each update of dslog.

do $$
declare
  role text;
begin
  foreach role in array array[
    -- Owns the tables, runs migrations, and is used for nothing else: it could take the guards away.
    'dslog_owner',
    -- The log. It can add entries; it can neither change nor delete one.
    'dslog_log',
    -- Whoever only reads the log: `dslog log --read-only`, statistics, somebody who looks for a fault.
    'dslog_log_reader',
    'dslog_crawler',
    -- The monitor. It can add evidence; it can neither change nor delete it.
    'dslog_monitor'
  ] loop
    if not exists (select from pg_roles where rolname = role) then
      execute format('create role %I login', role);
    end if;
  end loop;

  -- Nobody else gets in by default.
  execute format('revoke all on database %I from public', current_database());
  execute format('grant connect on database %I to dslog_owner, dslog_log, dslog_log_reader, '
    'dslog_crawler, dslog_monitor', current_database());
  -- What is to be written is staged in temporary tables.
  execute format('grant temporary on database %I to dslog_log, dslog_crawler, dslog_monitor',
    current_database());
end $$;

alter role dslog_owner connection limit 5;
alter role dslog_log connection limit 40;
alter role dslog_log_reader connection limit 200;
alter role dslog_crawler connection limit 100;
alter role dslog_monitor connection limit 40;

-- Nobody makes tables in a schema that all search.
revoke create on schema public from public;
create schema if not exists log authorization dslog_owner;
create schema if not exists crawler authorization dslog_owner;
create schema if not exists monitor authorization dslog_owner;

-- DSLOG_LOG_SYNCHRONOUS looks at how far the standbys are.
grant pg_read_all_stats to dslog_log;

-- A transaction that somebody forgot must not keep others waiting.
alter role dslog_log set idle_in_transaction_session_timeout = '60s';
alter role dslog_crawler set idle_in_transaction_session_timeout = '60s';
alter role dslog_monitor set idle_in_transaction_session_timeout = '60s';
alter role dslog_log_reader set default_transaction_read_only = on;
