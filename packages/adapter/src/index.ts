export { adapterDigest } from './digest.ts'
export { type AdapterManifest, type AdapterSource, inspectAdapter } from './inspect.ts'
export { ModelShape, type ProjectionName, parseModelShape, readModelShape } from './model-shape.ts'
