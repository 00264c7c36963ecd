-- Roles of dslog on PostgreSQL 15 or later. Once, as a superuser, in the database that dslog uses:
--
--   createdb dslog && psql -d dslog -f roles.sql
--   DATABASE_URL=postgres://dslog_owner@…/dslog dslog migrate --role dslog_log --reader dslog_log_reader
--   DATABASE_URL=postgres://dslog_log@…/dslog dslog log
--
-- Then give each a password (\password dslog_log). Who may do what with which table is granted by
-- `dslog migrate`, after each update of dslog.

-- Owns the tables, runs migrations, and is used for nothing else: it could take the guards away.
create role dslog_owner login connection limit 5;
-- The log. It can add entries; it can neither change nor delete one.
create role dslog_log login connection limit 40;
-- Whoever only reads: statistics, a copy, somebody who looks for a fault.
create role dslog_log_reader login connection limit 200;

-- Nobody else gets in by default, and nobody makes tables in a schema that all search.
revoke create on schema public from public;
do $$
begin
  execute format('revoke all on database %I from public', current_database());
  execute format('grant connect on database %I to dslog_owner, dslog_log, dslog_log_reader', current_database());
  -- Changed rows of names are staged in a temporary table.
  execute format('grant temporary on database %I to dslog_log', current_database());
end $$;
create schema if not exists log authorization dslog_owner;

-- DSLOG_LOG_SYNCHRONOUS looks at how far the standbys are.
grant pg_read_all_stats to dslog_log;

-- A transaction that somebody forgot must not keep others waiting.
alter role dslog_log set idle_in_transaction_session_timeout = '60s';
alter role dslog_log_reader set default_transaction_read_only = on;
