import path from 'node:path'
import { environment } from './environment.ts'
import { type Cluster, demoModel, startCluster } from './launch/cluster.ts'
import { untilInterrupted } from './until-interrupted.ts'

export type UpOptions = {
  data: string
  nodes: number
  routers: number
  port: number
  controlPort: number
  natsPort: number
  model?: string
  modelName?: string
}

/** `punica up`: starts everything, says where it is, and stops it in order on Ctrl-C. */
export const up = async (options: UpOptions): Promise<void> => {
  const cluster = await startCluster({
    dataFolder: options.data,
    numNodes: options.nodes,
    numRouters: options.routers,
    ports: { gateway: options.port, controlPlane: options.controlPort, nats: options.natsPort },
    model: chosenModel(options),
    databaseUrl: environment.DATABASE_URL,
    natsUrl: environment.NATS_URL,
    natsCredentials: environment.NATS_CREDS,
    natsServerBinary: environment.NATS_SERVER_BIN,
    onProgress: (text) => console.log(text),
  })
  console.log(describe(cluster))
  await untilInterrupted()
  console.log('stopping')
  await cluster.stop()
}

const chosenModel = ({ model, modelName }: UpOptions): typeof demoModel => {
  if (model === undefined) return demoModel
  const folder = path.resolve(model)
  return { folder, name: modelName ?? path.basename(folder).toLowerCase() }
}

const describe = (cluster: Cluster): string =>
  [
    '',
    `OpenAI API      ${cluster.gatewayUrl}/v1`,
    `Console         ${cluster.controlPlaneUrl}`,
    `GraphQL         ${cluster.controlPlaneUrl}/graphql`,
    `NATS            ${cluster.natsUrl}`,
    `Base model      ${cluster.baseModel}`,
    `Operator's key  ${cluster.operatorKey}`,
    `State and logs  ${cluster.dataFolder}`,
    '',
    'Ctrl-C stops everything; the next `up` goes on with the same state.',
  ].join('\n')
