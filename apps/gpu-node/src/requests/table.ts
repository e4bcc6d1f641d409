import type { Task } from '@punica/schema'
import type { RequestTrace } from './trace.ts'

/** A request on this node: what the pool knows it by, what the engine does, and how far it is. */
export type Entry = {
  readonly engineId: number
  readonly task: Task
  readonly trace: RequestTrace
  /** Tokens generated before it came here, and with those generated here. */
  readonly numGeneratedBefore: number
  numGenerated: number
  /** Set once the engine has it; until then it waits for its adapter. */
  isInEngine: boolean
  /** It holds its adapter, to be released at its end. */
  holdsAdapter: boolean
}

export type AttemptId = { requestId: string; attempt: number }

/** Every request assigned and not ended, found by either name. */
export const createTable = () => {
  const byEngineId = new Map<number, Entry>()
  const byAttempt = new Map<string, Entry>()
  let nextEngineId = 1

  return {
    get size() {
      return byAttempt.size
    },
    add: (task: Task, trace: RequestTrace): Entry => {
      const numGeneratedBefore = task.tokens.length - task.numPromptTokens
      const entry: Entry = {
        engineId: nextEngineId++,
        task,
        trace,
        numGeneratedBefore,
        numGenerated: numGeneratedBefore,
        isInEngine: false,
        holdsAdapter: false,
      }
      byEngineId.set(entry.engineId, entry)
      byAttempt.set(keyOf(task), entry)
      return entry
    },
    find: (id: AttemptId): Entry | undefined => byAttempt.get(keyOf(id)),
    byEngineId: (engineId: number): Entry | undefined => byEngineId.get(engineId),
    /** False where it had been removed before. */
    remove: ({ engineId, task }: Entry): boolean => {
      byAttempt.delete(keyOf(task))
      return byEngineId.delete(engineId)
    },
    list: (): Entry[] => [...byAttempt.values()],
  }
}

export type Table = ReturnType<typeof createTable>

const keyOf = ({ requestId, attempt }: AttemptId): string => `${attempt}:${requestId}`
