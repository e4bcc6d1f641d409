import { readFile } from 'node:fs/promises'
import { findSystemPostgres } from '@punica/embedded'
import { adapterRecords } from '@punica/schema'
import { expect, test } from 'vitest'
import { models, startHarness } from '../testing/harness.ts'

const binaries = findSystemPostgres()
const files = ['adapter_config.json', 'adapter_model.safetensors']

test.skipIf(binaries === null)(
  'the Postgres of the system serves as well as the embedded one (skipped where there is none)',
  async () => {
    const harness = await startHarness({ postgresBinaries: binaries ?? '' })
    try {
      const { admin } = await harness.createTenant('acme')
      const input = { tenant: 'acme', name: 'sentiment', baseModel: 'demo' }
      const fields = 'upload { id files { url } }'
      const { upload } = await harness.mutate('createAdapterUpload', input, fields, admin)
      for (const name of files) {
        const response = await fetch(`${harness.url}/uploads/${upload.id}/${name}`, {
          method: 'PUT',
          headers: { authorization: `Bearer ${admin}` },
          body: await readFile(`${models}/adapters/sentiment/${name}`),
        })
        expect(response.status).toBe(200)
      }
      const published = { uploadId: upload.id }
      await harness.mutate('publishAdapter', published, 'version { version }', admin)
      const records = await harness.bus.records(adapterRecords)
      expect((await records.get('acme.sentiment'))?.value.versions).toHaveLength(1)
      const { data } = await harness.graphql(
        '{ adapters(search: "sent") { edges { node { name } } } }',
      )
      expect(data?.adapters.edges).toEqual([{ node: { name: 'sentiment' } }])
    } finally {
      await harness.stop()
    }
  },
)
