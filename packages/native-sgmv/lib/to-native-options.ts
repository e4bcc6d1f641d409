import {
  checkBoolean,
  checkFraction,
  checkInteger,
  checkNumber,
  checkOneOf,
  checkString,
  type Field,
  maxInt32,
  refuse,
} from './checks.ts'
import type { NativeOptions } from './native.ts'
import type { EngineOptions } from './types.ts'

const defaultMemoryFraction = 0.9

const option = (name: string): Field => ({ code: 'invalid_options', name })

/** Fills in the defaults. Throws EngineError `invalid_options` naming the option and its limits. */
export const toNativeOptions = (options: EngineOptions): NativeOptions => {
  const {
    modelFolder,
    backend = 'cpu',
    randomWeights = false,
    numThreads = 0,
    compute = 'f32',
    maxBatchSize = 32,
    maxStepTokens = 512,
    targetStepMs = 0,
    device = 0,
    poolBytes,
    memoryFraction = defaultMemoryFraction,
    hostAdapterBytes = 1024 ** 3,
    maxWaiting = 1024,
  } = options
  if (modelFolder === '') refuse(option('modelFolder'), modelFolder, 'a folder with config.json')
  const size = (name: string, value: number): number =>
    checkInteger(option(name), value, [1, Number.MAX_SAFE_INTEGER])
  const count = (name: string, value: number): number =>
    checkInteger(option(name), value, [1, maxInt32])

  return {
    modelFolder: checkString(option('modelFolder'), modelFolder),
    backend: checkOneOf(option('backend'), backend, ['cpu', 'cuda', 'auto']),
    device: checkInteger(option('device'), device, [0, 1024]),
    randomWeights: checkBoolean(option('randomWeights'), randomWeights),
    numThreads: checkInteger(option('numThreads'), numThreads, [0, 1024]),
    compute: checkOneOf(option('compute'), compute, ['f32', 'bf16']),
    maxBatchSize: count('maxBatchSize', maxBatchSize),
    maxStepTokens: count('maxStepTokens', maxStepTokens),
    targetStepMs: checkNumber(option('targetStepMs'), targetStepMs),
    poolBytes: poolBytes === undefined ? noPoolBytes(backend) : size('poolBytes', poolBytes),
    memoryFraction: checkFraction(option('memoryFraction'), memoryFraction),
    hostAdapterBytes: size('hostAdapterBytes', hostAdapterBytes),
    maxWaiting: count('maxWaiting', maxWaiting),
  }
}

/** The memory of a machine is not the CPU backend's to fill, so there it must be said. */
const noPoolBytes = (backend: EngineOptions['backend']): number =>
  backend === 'cpu'
    ? refuse(option('poolBytes'), undefined, 'given where the CPU computes, in bytes')
    : 0
