import { existsSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { environment } from '../environment.ts'
import { type DataFolder, openDataFolder } from './data-folder.ts'
import { openLogFile } from './log-file.ts'
import type { NatsProcess } from './nats-process.ts'
import { openDatabaseServer, openNatsServer, type Server } from './servers.ts'
import { createServiceProcess, type ServiceProcess } from './service-process.ts'

export type ClusterOptions = {
  /** Where everything is kept; the same folder brings the same system back. */
  dataFolder: string
  /** CPU nodes to start. */
  numNodes?: number
  /** Routers to start: one leads, the others stand by. */
  numRouters?: number
  /** Of the gateway, the control plane and NATS; 0 picks a free one. */
  ports?: { gateway?: number; controlPlane?: number; nats?: number }
  /** A Hugging Face folder, and the name under which it is served. */
  model?: { folder: string; name: string }
  /** Run by somebody else; absent: embedded. */
  databaseUrl?: string | undefined
  natsUrl?: string | undefined
  /** With natsUrl: a .creds file that every service uses. */
  natsCredentials?: string | undefined
  natsServerBinary?: string | undefined
  /** false: what was written may be lost with the machine; for tests. */
  durable?: boolean
  /** A service that ends again and again is started again after this long at most. */
  maxRestartDelayMs?: number
  /** More settings for the services of one app. */
  settings?: Readonly<Record<string, Readonly<Record<string, string>>>>
  /** Told what happens, a line or more at a time. */
  onProgress?: (text: string) => void
}

export type Cluster = {
  gatewayUrl: string
  controlPlaneUrl: string
  natsUrl: string
  operatorKey: string
  /** A .creds file that may do everything on NATS. */
  operatorCredentials: string
  dataFolder: string
  baseModel: string
  /** Names of the services, as `service` takes them. */
  services: readonly string[]
  service(name: string): ServiceProcess
  /** null: it is run by somebody else. */
  nats: Pick<NatsProcess, 'kill' | 'untilRestarted'> | null
  stop(): Promise<void>
}

export const demoModel = {
  folder: fileURLToPath(new URL('../../../../models/base', import.meta.url)),
  name: 'punica-demo-6m',
}

const pool = 'default'
const consoleFolder = fileURLToPath(new URL('../../../console/dist', import.meta.url))

/**
 * Starts the whole system on this machine: database, NATS, and every service as a process of its
 * own. When one of them does not come up, the others are stopped and the error says why.
 */
export const startCluster = async (options: ClusterOptions): Promise<Cluster> => {
  const { onProgress = () => {} } = options
  const data = await openDataFolder(path.resolve(options.dataFolder))
  // What has been started, in order; it is stopped in the opposite order.
  const started: { stop(): Promise<void> }[] = []
  const stop = async (): Promise<void> => {
    for (const part of started.splice(0).reverse()) await part.stop()
    await data.release()
  }
  try {
    const servers = await startServers(data, options, started)
    onProgress(`database and NATS are up (${servers.nats.url})`)
    const services = await startServices(data, servers, options, started)
    const cluster = toCluster(data, servers, options, services, stop)
    const { gatewayUrl, controlPlaneUrl, natsUrl, baseModel } = cluster
    await data.announce({ gatewayUrl, controlPlaneUrl, natsUrl, baseModel })
    return cluster
  } catch (err) {
    await stop()
    throw err
  }
}

type Servers = { database: Server; nats: Server & Partial<NatsProcess> }

const startServers = async (
  data: DataFolder,
  options: ClusterOptions,
  started: { stop(): Promise<void> }[],
): Promise<Servers> => {
  const { databaseUrl, natsUrl, natsServerBinary, durable = true, ports } = options
  const { onProgress: onChange = () => {} } = options
  const [database, nats] = await Promise.allSettled([
    openDatabaseServer(data, { url: databaseUrl, durable }),
    openNatsServer(data, {
      url: natsUrl,
      binary: natsServerBinary,
      port: ports?.nats || -1,
      onChange,
    }),
  ])
  for (const result of [database, nats]) {
    if (result.status === 'fulfilled') started.push(result.value)
  }
  if (database.status === 'rejected') throw database.reason
  if (nats.status === 'rejected') throw nats.reason
  return { database: database.value, nats: nats.value }
}

type Plan = {
  name: string
  app: string
  role: keyof DataFolder['credentials']
  env: Record<string, string>
}

/**
 * The control plane's memory is mostly what has been freed: one arena that gives back at once, and
 * a small young generation, take a third off (docs/benchmarks/2026-11-24-upload.md).
 */
const lean = (): Record<string, string> => ({
  MALLOC_ARENA_MAX: '1',
  MALLOC_TRIM_THRESHOLD_: '65536',
  NODE_OPTIONS: `${environment.NODE_OPTIONS ?? ''} --max-semi-space-size=2`.trim(),
})

/** In the order in which they start: each needs those before it, or does better with them. */
const planServices = (data: DataFolder, servers: Servers, options: ClusterOptions): Plan[] => {
  const { numNodes = 2, numRouters = 1, ports = {}, model = demoModel, natsCredentials } = options
  const modelEnv = { MODEL_FOLDER: model.folder, BASE_MODEL: model.name }
  const controlPlaneEnv = {
    ...modelEnv,
    ...lean(),
    DATABASE_URL: servers.database.url,
    OPERATOR_KEY: data.operatorKey,
    ...(existsSync(consoleFolder) ? { CONSOLE_FOLDER: consoleFolder } : {}),
    PORT: String(ports.controlPlane ?? 0),
    ...(natsCredentials === undefined
      ? {
          NATS_ACCOUNT_SEED: data.authority.accountSeed,
          NATS_OPERATOR_SEED: data.authority.operatorSeed,
          NATS_SYSTEM_CREDS: data.credentials.system,
        }
      : {}),
  }
  const nodeEnv = { ...modelEnv, BACKEND: 'cpu', DATA_DIR: path.join(data.path, 'adapters') }
  const gatewayEnv = { ...modelEnv, PORT: String(ports.gateway ?? 0) }
  return [
    { name: 'control-plane', app: 'control-plane', role: 'control-plane', env: controlPlaneEnv },
    ...Array.from({ length: numRouters }, (_, i): Plan => {
      const env = { BASE_MODEL: model.name }
      return { name: `router-${i + 1}`, app: 'router', role: 'router', env }
    }),
    ...Array.from({ length: numNodes }, (_, i): Plan => {
      const name = `node-${i + 1}`
      // The nodes of one machine share its cores.
      const env = { ...nodeEnv, NODE_ID: name, NUM_THREADS: '1' }
      return { name, app: 'gpu-node', role: 'gpu-node', env }
    }),
    { name: 'gateway', app: 'gateway', role: 'gateway', env: gatewayEnv },
  ]
}

const startServices = async (
  data: DataFolder,
  servers: Servers,
  options: ClusterOptions,
  started: { stop(): Promise<void> }[],
): Promise<ServiceProcess[]> => {
  const { onProgress = () => {}, natsCredentials, settings = {} } = options
  const services = planServices(data, servers, options).map(({ name, app, role, env }) =>
    createServiceProcess({
      name,
      app,
      env: {
        POOL: pool,
        NATS_URL: servers.nats.url,
        NATS_CREDS: natsCredentials ?? data.credentials[role],
        STATUS_PORT: '0',
        ...env,
        ...settings[app],
      },
      log: openLogFile(path.join(data.logs, `${name}.log`)),
      onChange: onProgress,
      maxBackoffMs: options.maxRestartDelayMs,
    }),
  )
  started.push(...services)
  const [controlPlane, ...others] = services
  // The control plane first: it makes the catalog that the others read.
  await controlPlane?.start()
  await Promise.all(others.map((service) => service.start()))
  return services
}

const toCluster = (
  data: DataFolder,
  servers: Servers,
  { model = demoModel }: ClusterOptions,
  services: readonly ServiceProcess[],
  stop: () => Promise<void>,
): Cluster => {
  const service = (name: string): ServiceProcess => {
    const found = services.find((candidate) => candidate.name === name)
    if (found === undefined) throw new Error(`there is no service ${name}`)
    return found
  }
  const urlOf = (name: string): string => service(name).facts.url ?? ''
  return {
    gatewayUrl: urlOf('gateway'),
    controlPlaneUrl: urlOf('control-plane'),
    natsUrl: servers.nats.url,
    operatorKey: data.operatorKey,
    operatorCredentials: data.credentials.operator,
    dataFolder: data.path,
    baseModel: model.name,
    services: services.map(({ name }) => name),
    service,
    nats: toNats(servers.nats),
    stop,
  }
}

const toNats = ({ kill, untilRestarted }: Servers['nats']): Cluster['nats'] =>
  kill === undefined || untilRestarted === undefined ? null : { kill, untilRestarted }
