// Loaded before a gpu-node (NODE_OPTIONS=--import), this puts stub-engine.ts where the node imports
// the native engine. Everything else of the node is as it is.
import { register } from 'node:module'
import { isMainThread } from 'node:worker_threads'

const stub = new URL('./stub-engine.ts', import.meta.url).href

// Node loads the file a second time, in the thread of its hooks.
if (isMainThread) register(import.meta.url)

/** The hook that Node calls for each import; the stub itself may import the real package. */
export const resolve = (specifier, context, next) =>
  specifier === '@punica/native-sgmv' && !context.parentURL?.startsWith(stub)
    ? next(stub, context)
    : next(specifier, context)
