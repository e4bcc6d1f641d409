import { readFile } from 'node:fs/promises'
import path from 'node:path'
import type { System } from './system.ts'
import { models } from './system.ts'

export type Problem = { __typename: string; code: string; message: string; field: string | null }
export type Answer = { status: number; error: { code: string; message: string; param?: string } }
export type PeftFiles = { config: Uint8Array; weights: Uint8Array }

/** The files of a real adapter of rank 8 on all seven modules, in bf16. */
export const readPeftFiles = async (): Promise<PeftFiles> => {
  const folder = path.join(models, 'adapters', 'sql-helper')
  const [config, weights] = await Promise.all(
    ['adapter_config.json', 'adapter_model.safetensors'].map((name) =>
      readFile(path.join(folder, name)),
    ),
  )
  if (config === undefined || weights === undefined) throw new Error(`${folder} is incomplete`)
  return { config, weights }
}

export type Header = Record<
  string,
  { dtype: string; shape: number[]; data_offsets: [number, number] }
>

/** A safetensors file with a changed header or changed data; offsets count from the data's start. */
export const editSafetensors = (
  file: Uint8Array,
  edit: (header: Header, data: DataView) => void,
): Uint8Array => {
  const length = Number(new DataView(file.buffer, file.byteOffset).getBigUint64(0, true))
  const header: Header = JSON.parse(new TextDecoder().decode(file.subarray(8, 8 + length)))
  const data = new Uint8Array(file.subarray(8 + length))
  edit(header, new DataView(data.buffer))
  const json = new TextEncoder().encode(JSON.stringify(header))
  const prefix = new Uint8Array(8)
  new DataView(prefix.buffer).setBigUint64(0, BigInt(json.length), true)
  return Buffer.concat([prefix, json, data])
}

/** The upload API as a caller without our client sees it. */
export const createUploads = ({ cluster, operator }: Pick<System, 'cluster' | 'operator'>) => {
  const authorization = `Bearer ${cluster.operatorKey}`

  const mutate = async <T>(name: string, payload: string, input: object): Promise<T & Problem> => {
    const type = name[0]?.toUpperCase() + name.slice(1)
    const { result } = await operator.graphql<{ result: T & Problem }>(
      `mutation ($input: ${type}Input!) { result: ${name}(input: $input) {
        __typename
        ... on ${type}Payload { ${payload} }
        ... on ProblemError { code message field }
      } }`,
      { input },
    )
    return result
  }

  const uploads = {
    mutate,

    open: (changes: object = {}) =>
      mutate<{ upload: { id: string } }>('createAdapterUpload', 'upload { id }', {
        tenant: 'acme',
        name: 'broken',
        baseModel: cluster.baseModel,
        ...changes,
      }),

    /** PUTs `body` as it is to a path below the upload, which may be any nonsense. */
    put: async (
      uploadId: string,
      file: string,
      body: Uint8Array,
      headers: Record<string, string> = {},
    ): Promise<Answer> => {
      const response = await fetch(`${cluster.controlPlaneUrl}/uploads/${uploadId}/${file}`, {
        method: 'PUT',
        headers: { authorization, ...headers },
        body: Buffer.from(body),
      })
      return { status: response.status, ...(await response.json()) }
    },

    /** What becomes of the two files as a new adapter. */
    publish: async ({ config, weights }: PeftFiles): Promise<Problem> => {
      const { upload } = await uploads.open()
      for (const [name, body] of [
        ['adapter_config.json', config],
        ['adapter_model.safetensors', weights],
      ] as const) {
        const { status, error } = await uploads.put(upload.id, name, body)
        if (status !== 200) throw new Error(`PUT ${name}: ${status} ${error.message}`)
      }
      return mutate('publishAdapter', 'version { version }', { uploadId: upload.id })
    },
  }
  return uploads
}
export type Uploads = ReturnType<typeof createUploads>
