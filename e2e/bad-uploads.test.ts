import { request } from 'node:http'
import { json } from 'node:stream/consumers'
import { limits } from '@punica/schema'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Control, createControl } from './support/control.ts'
import { type System, startSystem } from './support/system.ts'
import {
  createUploads,
  editSafetensors,
  type Header,
  type PeftFiles,
  readPeftFiles,
  type Uploads,
} from './support/uploads.ts'

let system: System
let uploads: Uploads
let files: PeftFiles
let control: Control

beforeAll(async () => {
  control = createControl()
  system = await startSystem({ onProgress: control.onProgress })
  uploads = createUploads(system)
  files = await readPeftFiles()
  await control.start(system)
})

afterAll(async () => {
  await system?.stop()
})

describe('an upload', () => {
  const firstB = 'base_model.model.model.layers.0.mlp.down_proj.lora_B.weight'
  const invalid = 'adapter_invalid'
  const incompatible = 'adapter_incompatible'
  const withConfig = (changes: object) => ({ config: toBytes({ ...configOf(), ...changes }) })
  const configOf = (): object => JSON.parse(new TextDecoder().decode(files.config))
  const toBytes = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value))
  const edited = (edit: Parameters<typeof editSafetensors>[1]) => ({
    weights: editSafetensors(files.weights, edit),
  })

  test.each<[string, () => Partial<PeftFiles>, string, RegExp]>([
    ['cut off', () => ({ weights: files.weights.subarray(0, -100) }), invalid, /cut off/],
    ['empty', () => ({ weights: new Uint8Array() }), invalid, /0 bytes/],
    ['a pickle', () => ({ weights: Buffer.from('\x80\x02}q\x00.', 'latin1') }), invalid, /pickle/],
    ['a zip', () => ({ weights: Buffer.from('PK\x03\x04 torch.save') }), invalid, /zip archive/],
    [
      'of a wrong rank',
      () => withConfig({ r: 4 }),
      invalid,
      /adapter_model\.safetensors: tensor .*\[8,\d+\], expected \[4,\d+\]/,
    ],
    [
      'not finite',
      () => edited((header, data) => data.setUint16(offsetOf(header, firstB), 0x7fc0, true)),
      invalid,
      /mlp\.down_proj\.lora_B.*not a number/,
    ],
    [
      'whose tensors overlap',
      () =>
        edited((header) => {
          const { data_offsets: offsets } = header[firstB] ?? { data_offsets: [0, 0] }
          offsets[0] -= 16
          offsets[1] -= 16
        }),
      invalid,
      /overlaps the tensor before it/,
    ],
    [
      'whose header would be huge in memory',
      () => ({ weights: withHeader(`{"a":[${'[],'.repeat(600_000)}[]]}`) }),
      invalid,
      /more values/,
    ],
    [
      'with effects too small for any answer',
      () => edited((header, data) => fillEveryB(header, (at) => data.setUint16(at, 0x0080, true))),
      invalid,
      /the model answers as without it/,
    ],
    [
      'whose answers are not finite',
      () =>
        edited((header, data) =>
          fillEveryB(header, (at) => data.setUint16(at, at % 4 === 0 ? 0x7e96 : 0xfe96, true)),
        ),
      invalid,
      /output is not finite/,
    ],
    ['without effect', () => edited(zeroEveryB), invalid, /changes nothing/],
    [
      'for another base',
      () =>
        edited((header) => {
          // As many bytes as before: the shape alone tells.
          for (const [name, { shape }] of Object.entries(header)) {
            if (name === firstB) shape.splice(0, 2, 128, 16)
          }
        }),
      incompatible,
      /lora_B.*\[128,16\], expected \[256,8\]/,
    ],
    [
      'for more layers',
      () =>
        edited((header) => {
          for (const name of Object.keys(header)) {
            const entry = header[name]
            if (!name.includes('.layers.7.') || entry === undefined) continue
            delete header[name]
            header[name.replace('.layers.7.', '.layers.9.')] = entry
          }
        }),
      incompatible,
      /8 layers/,
    ],
    ['of a rank over the limit', () => withConfig({ r: 257 }), incompatible, /257.*256/],
    ['with DoRA', () => withConfig({ use_dora: true }), incompatible, /use_dora/],
    ['whose config is no JSON', () => ({ config: Buffer.from('r: 8') }), invalid, /not JSON/],
  ])('that is %s gets a typed error', async (_, change, code, message) => {
    const problem = await uploads.publish({ ...files, ...change() })
    expect(problem).toMatchObject({ __typename: 'ProblemError', code })
    expect(problem.message).toMatch(message)
    const { data } = await system.openai(system.keys.acme).models.list()
    expect(data.map(({ id }) => id)).not.toContain('broken')
  })

  test('over the limit in bytes is refused, by its length before a byte has come', async () => {
    const { upload } = await uploads.open()
    const config = 'adapter_config.json'
    const big = await uploads.put(upload.id, config, Buffer.alloc(limits.adapterConfigBytes + 1))
    expect(big).toMatchObject({
      status: 413,
      error: { code: 'payload_too_large', param: config },
    })
    expect(big.error.message).toContain(String(limits.adapterConfigBytes))

    const weights = 'adapter_model.safetensors'
    const announced = await announce(`${upload.id}/${weights}`, limits.adapterWeightsBytes + 1)
    expect(announced).toMatchObject({
      status: 413,
      body: { error: { code: 'payload_too_large', param: weights } },
    })
  })

  /** A PUT of which no body is ever sent. */
  const announce = (path: string, contentLength: number): Promise<object> =>
    new Promise((resolve, reject) => {
      const sent = request(`${system.cluster.controlPlaneUrl}/uploads/${path}`, {
        method: 'PUT',
        headers: {
          authorization: `Bearer ${system.cluster.operatorKey}`,
          'content-length': contentLength,
        },
      })
      sent.once('error', reject).once('response', async (response) => {
        resolve({ status: response.statusCode, body: await json(response) })
        sent.destroy()
      })
      sent.flushHeaders()
    })

  test.each([
    'other.bin',
    '..%2f..%2fsecrets.json',
    '%2e%2e%2fadapter_config.json',
    'adapter_config.json%00',
    'adapter_config.json%2f..%2fx',
    '__proto__',
    'ADAPTER_CONFIG.JSON',
  ])('to the file name %s is refused', async (name) => {
    const { upload } = await uploads.open()
    const { status, error } = await uploads.put(upload.id, name, files.config)
    expect([status, error.code]).toEqual([404, 'not_found'])
  })

  test.each([
    ['name', '../broken', 'invalid_request'],
    ['name', 'a/b', 'invalid_request'],
    ['name', 'a..b', 'invalid_request'],
    ['name', '', 'invalid_request'],
    ['name', 'x'.repeat(97), 'invalid_request'],
    ['tenant', '../acme', 'invalid_request'],
    ['tenant', 'nobody', 'not_found'],
    ['baseModel', 'another-base', 'not_found'],
    ['baseModel', '../base', 'invalid_request'],
  ])('for the %s %j is refused', async (field, value, code) => {
    const problem = await uploads.open({ [field]: value })
    expect(problem).toMatchObject({ __typename: 'ProblemError', code })
    expect(problem.message).toContain(field === 'tenant' && code === 'not_found' ? value : field)
  })

  test('of an unknown id, or published too early, is refused', async () => {
    const publish = (uploadId: string) =>
      uploads.mutate('publishAdapter', 'version { version }', { uploadId })
    expect(await publish('../x')).toMatchObject({ code: 'not_found', field: 'uploadId' })
    const { upload } = await uploads.open()
    expect(await publish(upload.id)).toMatchObject({
      code: 'invalid_request',
      field: 'adapter_config.json',
    })
  })
})

test('nothing of this has touched the stream beside it, nor ended a process', async () => {
  await control.expectUntouched()
})

const offsetOf = (header: Header, name: string): number => {
  const entry = header[name]
  if (entry === undefined) throw new Error(`no tensor ${name}`)
  return entry.data_offsets[0]
}

/** A safetensors file of a header alone. */
const withHeader = (json: string): Uint8Array => {
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(json.length))
  return Buffer.concat([length, Buffer.from(json)])
}

/** Tells where each two bytes of every lora_B are. */
const fillEveryB = (header: Header, set: (at: number) => void): void => {
  for (const [name, { data_offsets: offsets }] of Object.entries(header)) {
    if (!name.includes('lora_B')) continue
    for (let at = offsets[0]; at < offsets[1]; at += 2) set(at)
  }
}

const zeroEveryB = (header: Header, data: DataView): void => {
  for (const [name, { data_offsets: offsets }] of Object.entries(header)) {
    if (!name.includes('lora_B')) continue
    const [begin, end] = offsets
    new Uint8Array(data.buffer).fill(0, begin, end)
  }
}
