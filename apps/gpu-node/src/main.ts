import path from 'node:path'
import { connectBus, connectNats, isReachable } from '@punica/bus'
import { createEngine } from '@punica/native-sgmv'
import { openObjectStore } from '@punica/object-store'
import { run } from '@punica/service'
import { createAdapters } from './adapters/adapters.ts'
import { openDiskCache } from './adapters/disk-cache.ts'
import { Config } from './config.ts'
import { findCredentials } from './joining/join.ts'
import { serveNode } from './node.ts'

await run('gpu-node', Config, async (context) => {
  const { config, log, signal, refusals, check } = context
  const { natsUrl: url, nodeId } = config
  const credentialsFile = await findCredentials(signal, context)
  /** What has been opened is closed in the opposite order, however far this gets. */
  const closers: (() => Promise<void>)[] = []
  try {
    const { onProblem } = refusals
    const bus = await connectBus({ url, credentialsFile, name: nodeId, log, onProblem })
    check('NATS', () => isReachable(bus))
    closers.unshift(() => bus.close())
    const source = await openObjectStore(config.objectStoreUrl, () =>
      connectNats({ url, credentialsFile, name: `${nodeId} adapters`, log }),
    )
    closers.unshift(() => source.close())
    const engine = await createEngine(config.engine)
    closers.unshift(() => engine.close())
    const disk = await openDiskCache({
      folder: path.join(config.dataFolder, nodeId),
      maxBytes: config.diskCacheBytes,
      source,
    })
    const adapters = createAdapters({ engine, disk })
    await serveNode(signal, { ...context, bus, engine, adapters, disk })
  } finally {
    for (const close of closers) await close()
  }
})
