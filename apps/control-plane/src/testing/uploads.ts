import { readFile } from 'node:fs/promises'
import { adapterRecords } from '@punica/schema'
import { type Harness, models, type Payload } from './harness.ts'

export type Upload = { id: string; files: { name: string; url: string; maxBytes: number }[] }

const folder = `${models}/adapters/sentiment`
/** The files of a real adapter of the demo model, rank 32 on q_proj and v_proj. */
export const config = await readFile(`${folder}/adapter_config.json`)
export const weights = await readFile(`${folder}/adapter_model.safetensors`)

/** The upload API, as a key of one tenant uses it. */
export const createUploads = (
  harness: Pick<Harness, 'url' | 'mutate' | 'bus'>,
  { tenant, key }: { tenant: string; key: string },
) => {
  const uploads = {
    open: async (name: string): Promise<Upload> => {
      const input = { tenant, name, baseModel: 'demo' }
      const fields = 'upload { id expiresAt files { name url maxBytes } }'
      return (await harness.mutate('createAdapterUpload', input, fields, key)).upload
    },

    put: (
      { id }: Pick<Upload, 'id'>,
      file: string,
      body: Uint8Array | ReadableStream,
      headers: Record<string, string> = {},
    ): Promise<Response> =>
      fetch(`${harness.url}/uploads/${id}/${file}`, {
        method: 'PUT',
        headers: { authorization: `Bearer ${key}`, ...headers },
        body,
        duplex: 'half',
      } as RequestInit),

    /** The headers by which HEAD says how far a file is. */
    head: async ({ id }: Pick<Upload, 'id'>, file: string) => {
      const headers = { authorization: `Bearer ${key}` }
      const url = `${harness.url}/uploads/${id}/${file}`
      const response = await fetch(url, { method: 'HEAD', headers })
      const [offset, length, complete] = ['offset', 'length', 'complete'].map((name) =>
        response.headers.get(`upload-${name}`),
      )
      return { status: response.status, offset: Number(offset), length, complete }
    },

    publish: (upload: Pick<Upload, 'id'>, options: { weight?: number } = {}): Promise<Payload> =>
      harness.mutate(
        'publishAdapter',
        { uploadId: upload.id, ...options },
        'adapter { id name } version { id version digest rank targetModules sizeBytes weight }',
        key,
      ),

    /** Uploads both files and publishes them. */
    publishFiles: async (
      name: string,
      files: { config?: Uint8Array; weights?: Uint8Array; weight?: number } = {},
    ): Promise<Payload> => {
      const upload = await uploads.open(name)
      for (const [file, body] of [
        ['adapter_config.json', files.config ?? config],
        ['adapter_model.safetensors', files.weights ?? weights],
      ] as const) {
        const { status } = await uploads.put(upload, file, body)
        if (status !== 200) throw new Error(`PUT ${file}: ${status}`)
      }
      return uploads.publish(upload, files.weight === undefined ? {} : { weight: files.weight })
    },

    /** The nth version of the sound adapter: other bytes, the same weights. */
    publishNth: (name: string, n: number, weight?: number): Promise<Payload> =>
      uploads.publishFiles(name, {
        config: Buffer.from(`${config}${' '.repeat(n)}`),
        ...(weight === undefined ? {} : { weight }),
      }),

    recordOf: async (name: string) =>
      (await (await harness.bus.records(adapterRecords)).get(`${tenant}.${name}`))?.value,

    /** What an alias stands for in the catalog, as [version, weight]. */
    sharesOf: async (name: string, alias = 'default') =>
      (await uploads.recordOf(name))?.aliases
        .find((one) => one.name === alias)
        ?.targets.map(({ version, weight }) => [version, weight]),
  }
  return uploads
}
