#!/usr/bin/env bash
# Makes what docker-compose.yml needs to know and nobody else may: passwords, URLs with them, tokens. Keeps
# what is there, so it may be run again. Argument: the folder, deploy/secrets unless told.
set -euo pipefail

folder=${1:-$(dirname "$0")/secrets}
umask 077
mkdir -p "$folder"

# put NAME VALUE: the folder keeps others out; in a container the file is read by another user.
put() { [ -s "$folder/$1" ] || { printf '%s' "$2" >"$folder/$1" && chmod 0444 "$folder/$1"; }; }
random() { head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n'; }

put postgres-password "$(random)"
for role in owner log log-reader crawler monitor; do
  put "$role-password" "$(random)"
  put "$role-database-url" "postgres://dslog_${role//-/_}:$(cat "$folder/$role-password")@postgres/dslog"
done
put operator-token "$(random)"
put crawler-token "$(random)"
echo "secrets are in $folder"
