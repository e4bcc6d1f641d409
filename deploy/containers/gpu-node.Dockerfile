# gpu-node with the CUDA backend, or for the CPU alone with
#   --build-arg BUILD_IMAGE=ubuntu:24.04 --build-arg RUN_IMAGE=ubuntu:24.04
# From the root of the repository: docker build -f deploy/containers/gpu-node.Dockerfile -t punica/gpu-node .
ARG NODE_IMAGE=node:20.20.2-bookworm-slim
# CUDA 12.4 or newer; the run image needs the CUDA libraries (cuBLASLt is opened at run time).
ARG BUILD_IMAGE=nvidia/cuda:12.9.1-devel-ubuntu24.04
ARG RUN_IMAGE=nvidia/cuda:12.9.1-runtime-ubuntu24.04

FROM ${NODE_IMAGE} AS node

FROM ${BUILD_IMAGE} AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates cmake g++ make \
    && rm -rf /var/lib/apt/lists/*
COPY --from=node /usr/local/bin/node /usr/local/bin/node
COPY --from=node /usr/local/lib/node_modules /usr/local/lib/node_modules
ENV PATH=/usr/local/lib/node_modules/npm/bin:$PATH
WORKDIR /app
COPY . .
RUN node /usr/local/lib/node_modules/npm/bin/npm-cli.js ci --no-audit --no-fund --omit=dev --include-workspace-root --workspace=@punica/gpu-node
RUN node packages/native-sgmv/scripts/build.mjs

FROM ${RUN_IMAGE}
ENV NODE_ENV=production \
    STATUS_HOST=0.0.0.0 \
    STATUS_PORT=9100 \
    BACKEND=cuda \
    DATA_DIR=/var/lib/punica
RUN install -d -o 1000 -g 1000 /var/lib/punica
COPY --from=node /usr/local/bin/node /usr/local/bin/node
WORKDIR /app
COPY --from=build /app/node_modules node_modules
COPY package.json package.json
COPY packages packages
COPY apps/gpu-node apps/gpu-node
COPY --from=build /app/packages/native-sgmv/build/Release packages/native-sgmv/build/Release
USER 1000:1000
# The adapters that were fetched, and the credential of a node that joined.
VOLUME /var/lib/punica
EXPOSE 9100
ENTRYPOINT ["node", "--import", "tsx"]
CMD ["apps/gpu-node/src/main.ts"]
