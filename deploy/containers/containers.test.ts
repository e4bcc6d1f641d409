import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { type Cluster, demoModel, startCluster } from '@punica/cli/cluster'
import { type PostgresServer, startPostgres } from '@punica/embedded'
import { validate } from 'dockerfile-utils'
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest'
import { parse as parseYaml } from 'yaml'
import { z } from 'zod'
import {
  argumentsOf,
  buildImage,
  fromOf,
  type Image,
  listContext,
  parse,
} from '../testing/image.ts'
import { appOf, root, unknownSettings } from '../testing/settings.ts'

const folder = 'deploy/containers'
const files = ['services', 'gpu-node'].map((name) => `${folder}/${name}.Dockerfile`)

describe.each(files)('%s', (file) => {
  it('has nothing that a linter objects to', async () => {
    expect(validate(await readFile(path.join(root, file), 'utf8'))).toEqual([])
  })

  it('copies only what there is, and starts what it copied', async () => {
    const dockerfile = await parse(file)
    const context = await listContext()
    const stages = dockerfile.getFROMs().map((from) => from.getBuildStage())
    for (const copy of dockerfile.getCOPYs()) {
      const [source = ''] = argumentsOf(copy)
      const from = fromOf(copy)
      if (from !== null) expect(stages).toContain(from)
      else if (source !== '.') {
        expect(context.some((name) => name === source || name.startsWith(`${source}/`))).toBe(true)
      }
    }
    const [command] = dockerfile.getCMDs()
    const main: string[] = JSON.parse(command?.getArgumentsContent() ?? '[]')
    expect(context).toContain(main[0])
  })

  it('names its images by version, and no user by name', async () => {
    const dockerfile = await parse(file)
    for (const arg of dockerfile.getARGs()) {
      expect(arg.getProperty()?.getValue()).toMatch(/:\d+\.\d+\S*$/)
    }
    const users = dockerfile.getInstructions().filter((i) => i.getKeyword() === 'USER')
    expect(users.map((user) => argumentsOf(user))).toEqual([['1000:1000']])
  })
})

const Compose = z.object({
  services: z.record(
    z.string(),
    z.object({
      image: z.string().regex(/^punica\/|:\d/, 'must have a version'),
      build: z.object({ context: z.string(), dockerfile: z.string() }).optional(),
      command: z.array(z.string()).optional(),
      environment: z.record(z.string(), z.string()).default({}),
      volumes: z.array(z.string()).default([]),
      read_only: z.boolean().optional(),
    }),
  ),
  volumes: z.record(z.string(), z.null()),
})

const made = ['control-plane', 'gateway', 'router', 'gpu-node', 'system'].map((n) => `${n}.creds`)

test('the compose file mounts what there is and sets what the services read', async () => {
  const text = await readFile(path.join(root, folder, 'compose.yaml'), 'utf8')
  const { services, volumes } = Compose.parse(parseYaml(text, { merge: true }))
  for (const { image, build, command, environment, volumes: mounts, ...rest } of Object.values(
    services,
  )) {
    if (build !== undefined) {
      expect(existsSync(path.join(root, folder, build.context, build.dockerfile))).toBe(true)
    }
    for (const mount of mounts) {
      const [source = ''] = mount.split(':')
      if (source.startsWith('./secrets/'))
        expect([...made, 'nats.conf']).toContain(source.slice(10))
      else if (source.startsWith('.'))
        expect(existsSync(path.join(root, folder, source))).toBe(true)
      else expect(volumes).toHaveProperty(source)
    }
    if (!image.startsWith('punica/')) continue
    expect(rest.read_only).toBe(true)
    const app = appOf(command ?? ['apps/gpu-node/src/main.ts'])
    expect(await unknownSettings(app, Object.keys(environment))).toEqual([])
  }
})

describe('the images, built without Docker', () => {
  let temporary: string
  let postgres: PostgresServer
  let cluster: Cluster
  const images: Image[] = []
  const children: ChildProcess[] = []

  beforeAll(async () => {
    temporary = await mkdtemp(path.join(tmpdir(), 'punica-images-'))
    // Postgres' own user passes through.
    await chmod(temporary, 0o711)
    for (const file of files) {
      images.push(await buildImage(file, path.join(temporary, path.basename(file))))
    }
    postgres = await startPostgres({ folder: path.join(temporary, 'postgres'), durable: false })
    cluster = await startCluster({
      dataFolder: path.join(temporary, 'data'),
      databaseUrl: postgres.url,
      durable: false,
      numNodes: 0,
    })
  }, 480_000)
  afterAll(async () => {
    for (const child of children) child.kill('SIGKILL')
    await cluster?.stop()
    await postgres?.stop()
    await rm(temporary, { recursive: true, force: true })
  })

  /** Starts a service as the image would, and resolves once it says that it is ready. */
  const start = async (image: Image, command: string[], env: Record<string, string>) => {
    const [, ...args] = [...image.entrypoint, ...command]
    const child = spawn(process.execPath, args, {
      cwd: path.join(image.folder, image.workdir),
      env: {
        PATH: process.env.PATH,
        ...image.env,
        NATS_URL: cluster.natsUrl,
        BASE_MODEL: demoModel.name,
        MODEL_FOLDER: demoModel.folder,
        PORT: '0',
        STATUS_PORT: '0',
        CONSOLE_FOLDER: path.join(image.folder, image.env.CONSOLE_FOLDER ?? ''),
        DATA_DIR: path.join(temporary, 'node-data'),
        ...env,
      },
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    children.push(child)
    const ended = once(child, 'exit')
    const [facts] = await Promise.race([
      once(child, 'message'),
      ended.then(([code]) => Promise.reject(new Error(`${command} ended with ${code}`))),
    ])
    return { facts, ended, stop: () => child.kill('SIGTERM') }
  }

  const credentials = (role: string): Record<string, string> => ({
    NATS_CREDS: path.join(cluster.dataFolder, `${role}.creds`),
  })

  it.each([['router'], ['gateway'], ['control-plane']])(
    '%s starts, answers its probes and ends on SIGTERM',
    async (app) => {
      const [services] = images
      if (services === undefined) throw new Error('there is no image')
      const env = app === 'control-plane' ? { DATABASE_URL: postgres.url } : {}
      const command = [`apps/${app}/src/main.ts`]
      const { facts, ended, stop } = await start(services, command, { ...env, ...credentials(app) })
      const status = `http://127.0.0.1:${facts.statusPort}`
      expect((await fetch(`${status}/readyz`)).status).toBe(200)
      if (app === 'control-plane') {
        const console = await fetch(`http://127.0.0.1:${facts.port}/`)
        expect(await console.text()).toContain('<div id="root">')
      }
      stop()
      expect(await ended).toEqual([0, null])
    },
  )

  it('gpu-node starts with its engine and ends on SIGTERM', async () => {
    const [, node] = images
    if (node === undefined) throw new Error('there is no image')
    const settings = {
      NODE_ID: 'image',
      BACKEND: 'cpu',
      NUM_THREADS: '1',
      ...credentials('gpu-node'),
    }
    const { facts, ended, stop } = await start(node, node.command, settings)
    expect(facts).toMatchObject({ nodeId: 'image', pool: 'default' })
    stop()
    expect(await ended).toEqual([0, null])
  })
})
