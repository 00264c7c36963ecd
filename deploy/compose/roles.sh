#!/usr/bin/env bash
# Run by the image of PostgreSQL when it makes its cluster: a role for each service, and a database for each
# that shares nothing with the others. SECRETS and SQL are where docker-compose.yml puts them.
set -euo pipefail

secrets=${SECRETS:-/run/secrets}
sql=${SQL:-/roles.sql}
user=${POSTGRES_USER:-postgres}
run() { psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "$user" "$@"; }

run --dbname dslog --file "$sql"
for role in owner log crawler monitor; do
  # By standard input, so that no password is in the list of processes.
  printf "alter role dslog_%s password '%s';\n" "$role" "$(cat "$secrets/$role-password")" | run --dbname dslog
done
for service in crawler monitor; do
  run --dbname dslog --command "create database $service owner dslog_$service"
  run --dbname dslog --command "revoke all on database $service from public"
done
