/** Bounds that more than one program must agree on. Each is an error code where it is exceeded. */
export const limits = {
  /** Ranks an adapter may have. */
  maxRank: 256,
  /** adapter_config.json of an upload. */
  adapterConfigBytes: 64 * 1024,
  /** adapter_model.safetensors of an upload. */
  adapterWeightsBytes: 4 * 1024 ** 3,
  /** The least that a PUT of a part of a file brings, unless it is the last. */
  uploadPartBytes: 8 * 1024 ** 2,
  /** Versions of an adapter that are served, its aliases, and the versions that one stands for. */
  maxVersions: 64,
  maxAliases: 16,
  maxAliasTargets: 8,
  /** The JSON header of a safetensors file; one of thousands of tensors has some hundred kilobytes. */
  safetensorsHeaderBytes: 2 * 1024 ** 2,
  /** A request body of the OpenAI API, and of its NATS face. */
  requestBodyBytes: 4 * 1024 ** 2,
  /** One message between processes; nats-server's max_payload is set to it. */
  messageBytes: 8 * 1024 ** 2,
  /** A call over NATS hears of its gateway at least so often. */
  heartbeatMs: 5_000,
  /** Choices of one request (`n`). */
  maxChoices: 16,
  /** Stop strings of one request, and the length of each. */
  maxStopStrings: 16,
  maxStopStringLength: 256,
  /** Requests in one answer of a gateway about what it waits for, and how many answers there may be. */
  maxWaitingPerPage: 1_000,
  maxWaitingPages: 100,
  maxLogprobs: 20,
  maxLogitBias: 1024,
  /** The schema of a `response_format`, and the program that holds the answer to it. */
  jsonSchemaBytes: 64 * 1024,
  grammarInstructions: 32_000,
} as const
