# One image for all services: `docker run dslog log`, `… crawler`, `… monitor`. Built from the lock file alone;
# what runs is not root, writes to /data only, and needs no shell.

FROM node:24-bookworm-slim AS build
WORKDIR /app
ENV TURBO_TELEMETRY_DISABLED=1
COPY . .
RUN npm ci --no-audit --no-fund && npm run build && npm prune --omit=dev --no-audit --no-fund \
  && rm -rf .turbo node_modules/.cache test packages/*/test services/*/test schema/test \
  && mkdir /data && chown 1000:1000 /data

FROM node:24-bookworm-slim
ENV NODE_ENV=production DSLOG_DATA=/data
COPY --from=build /app /app
COPY --from=build --chown=1000:1000 /data /data
# The user `node` of the base image.
USER 1000:1000
WORKDIR /data
VOLUME /data
STOPSIGNAL SIGTERM
ENTRYPOINT ["node", "/app/packages/cli/bin/dslog.js"]
CMD ["--help"]
