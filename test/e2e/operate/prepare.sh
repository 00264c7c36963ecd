#!/usr/bin/env bash
# What the manual takes for granted, in a machine that has just been booted: the checkout of the first argument as the
# repository to clone from, packages out of npm's cache, a PostgreSQL cluster as Debian makes it, certificates.
set -euo pipefail

checkout=$1

# The repository, under the address that the manual has. What is not committed yet counts.
mkdir -p /srv/upstream
cd "$checkout"
git -c safe.directory='*' ls-files -z --cached --others --exclude-standard |
  xargs -0 sh -c 'for file; do [ ! -e "$file" ] || printf "%s\0" "$file"; done' list |
  tar --create --null --no-recursion --files-from=- | tar --extract --no-same-owner --directory /srv/upstream
cd /srv/upstream
git init --quiet --initial-branch main
git add --all
git -c user.name=upstream -c user.email=upstream@localhost commit --quiet --message v0.1.0
git tag v0.1.0
git config --global url./srv/upstream.insteadOf https://github.com/dslog/dslog.git
git config --global advice.detachedHead false
printf 'offline=true\naudit=false\nfund=false\nupdate-notifier=false\n' >/root/.npmrc

for cluster in $(pg_lsclusters --no-header | awk '{ print $1 "/" $2 }'); do
  pg_dropcluster --stop "${cluster%/*}" "${cluster#*/}"
done
version=$(ls /usr/lib/postgresql | sort --numeric-sort | tail -n 1)
pg_createcluster "$version" main --port 5432 >/dev/null
systemctl start "postgresql@$version-main"

# A certificate authority of this machine, which everything trusts that runs on Node.
mkdir -p /etc/letsencrypt/live /etc/nginx/dslog
cd /etc/letsencrypt
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=ca \
  -addext basicConstraints=critical,CA:true -keyout ca.key -out ca.pem 2>/dev/null
for name in log.example monitor.example; do
  mkdir "live/$name"
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=$name" \
    -keyout "live/$name/privkey.pem" -out "$name.csr" 2>/dev/null
  openssl x509 -req -in "$name.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
    -extfile <(echo "subjectAltName=DNS:$name") -out "live/$name/fullchain.pem" 2>/dev/null
done
systemctl set-environment NODE_EXTRA_CA_CERTS=/etc/letsencrypt/ca.pem
rm -f /etc/nginx/sites-enabled/default
systemctl start nginx
