#!/usr/bin/env bash
# Run by the image of PostgreSQL when it makes its cluster: a role for each service, and its password. SECRETS and SQL
# are where docker-compose.yml puts them.
set -euo pipefail

secrets=${SECRETS:-/run/secrets}
sql=${SQL:-/roles.sql}
user=${POSTGRES_USER:-postgres}
run() { psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "$user" "$@"; }

run --dbname dslog --file "$sql"
for role in owner log log-reader crawler monitor; do
  # By standard input, so that no password is in the list of processes.
  printf "alter role dslog_%s password '%s';\n" "${role//-/_}" "$(cat "$secrets/$role-password")" |
    run --dbname dslog
done
