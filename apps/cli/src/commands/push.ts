import path from 'node:path'
import { AppError } from '@punica/schema'
import { type ControlOptions, findTenant, openControlPlane } from '../connection.ts'
import type { ControlPlane } from '../control-plane/connect.ts'
import { type LeftUpload, leftUpload } from '../control-plane/left-uploads.ts'
import { type PushEvents, pushAdapter } from '../control-plane/push-adapter.ts'
import { AdapterDocument, BaseModelsDocument } from '../generated/graphql.ts'
import { formatBytes } from '../terminal/format.ts'
import { type Io, perform } from '../terminal/io.ts'
import { openProgressBar } from '../terminal/progress-bar.ts'
import { UsageError } from '../usage-error.ts'

type PushOptions = ControlOptions & {
  tenant?: string
  name?: string
  baseModel?: string
  weight?: number
}

/** `punica adapter push`. */
export const push = (folder: string, options: PushOptions): Promise<void> =>
  perform(options, async (io) => {
    const controlPlane = await openControlPlane(options, io)
    const tenant = await findTenant(controlPlane, options.tenant ?? null)
    const name = options.name ?? path.basename(path.resolve(folder))
    const baseModel = options.baseModel ?? (await findBaseModel(controlPlane, { tenant, name }))
    const left = leftUpload({ url: controlPlane.url, tenant, name, baseModel, folder })
    const { weight } = options
    const input = { tenant, name, baseModel, folder, ...(weight === undefined ? {} : { weight }) }
    const stage = { isPublishing: false }
    const events = await toEvents(left, stage, io)
    const version = await pushAdapter(controlPlane, input, events).catch(async (cause: unknown) => {
      if (io.signal.aborted) throw toInterrupted(cause, { ...stage, tenant, name })
      // Files that are refused are not gone on with: the next push brings others.
      const isRefused = cause instanceof AppError && cause.code.startsWith('adapter_')
      if (isRefused) await left.remove()
      throw cause
    })
    await left.remove()
    const adapter = { tenant, name, version }
    io.print({ adapter }, () => {
      const { rank, sizeBytes, digest } = version
      const facts = `rank ${rank}, ${formatBytes(sizeBytes)}, ${digest.slice(0, 12)}`
      return `Serving ${tenant}/${name}@${version.version} (${facts}).`
    })
  })

const toEvents = async (
  left: LeftUpload,
  stage: { isPublishing: boolean },
  io: Io,
): Promise<PushEvents> => ({
  earlierUpload: await left.read(),
  signal: io.signal,
  onUpload: async ({ id, isResumed }) => {
    if (isResumed) io.note('Going on with the push that was interrupted.')
    else await left.write(id)
  },
  onFile: ({ name, sizeBytes, keptBytes }) => {
    if (keptBytes > 0) io.note(`${formatBytes(keptBytes)} of ${name} are there already.`)
    const output = io.isJson ? { isTTY: false, columns: 0, write: () => true } : io.stderr
    return openProgressBar({ label: name, totalBytes: sizeBytes, keptBytes, output })
  },
  onPublish: () => {
    stage.isPublishing = true
    io.note('A node tries the adapter.')
  },
})

type Stage = { isPublishing: boolean; tenant: string; name: string }

const toInterrupted = (cause: unknown, { isPublishing, tenant, name }: Stage): AppError =>
  new AppError(
    'cancelled',
    isPublishing
      ? `Interrupted while the adapter was tried. It may be served all the same: punica adapter versions ${tenant}/${name}`
      : 'Interrupted: nothing is served yet. The same command goes on from what has been kept, for an hour',
    { cause },
  )

/** The base model of the adapter's earlier versions, else the only one that is served. */
const findBaseModel = async (
  { ask }: ControlPlane,
  { tenant, name }: { tenant: string; name: string },
): Promise<string> => {
  const { adapter } = await ask(AdapterDocument, { tenant, name })
  if (adapter !== null) return adapter.baseModel
  const { baseModels } = await ask(BaseModelsDocument, {})
  const [first, ...others] = baseModels.map((model) => model.name)
  if (first === undefined) {
    throw new AppError('unavailable', 'No pool serves a base model yet; is a node up?')
  }
  if (others.length === 0) return first
  throw new UsageError(`Name one with --base-model: ${[first, ...others].join(', ')}`)
}

export const notFound = (tenant: string, name: string): AppError =>
  new AppError(
    'not_found',
    `There is no adapter ${tenant}/${name}, or not for your key; punica adapter list shows them`,
  )
