import { createHash } from 'node:crypto'
import {
  type AdapterRecord,
  type AdapterRef,
  AppError,
  type BaseModelRecord,
  type ModelCard,
} from '@punica/schema'
import type { Catalog } from './catalog.ts'

type Models = Pick<Catalog, 'bases' | 'adapters'>

/** What a model's name stands for: the base model, or one immutable version of an adapter of it. */
export type ResolvedModel = { base: BaseModelRecord; adapter: AdapterRef | null }

type Asker = { tenant: string; baseModel: string }

/**
 * Finds `adapter`, `tenant/adapter`, either with `@version`, or the base model by its name. A bare
 * name with several weighted versions takes one of them by the request's id, in proportion.
 *
 * Throws `model_not_found` in the same words for what does not exist and for what another tenant
 * has not granted, so that names cannot be probed.
 */
export const resolveModel = (
  models: Models,
  model: string,
  { requestId, ...asker }: Asker & { requestId: string },
): ResolvedModel => {
  const { base, record, version } = find(models, model, asker)
  if (record === null) return { base, adapter: null }
  const chosen = version === null ? chooseVersion(record, requestId) : versionOf(record, version)
  if (chosen === undefined) throw notFound(model)
  const { digest, rank, sizeBytes, files } = chosen
  return { base, adapter: { digest, rank, sizeBytes, files } }
}

/** The card of one model under the name that was asked for. Throws as resolveModel does. */
export const findModel = (models: Models, model: string, asker: Asker): ModelCard => {
  const { base, record, version } = find(models, model, asker)
  if (record === null) return toBaseCard(base)
  const shown = version === null ? mainVersion(record) : versionOf(record, version)
  if (shown === undefined) throw notFound(model)
  return toCard(model, record, shown, base)
}

/** The models that a tenant may name, the base model first and the rest by name. */
export const listModels = ({ bases, adapters }: Models, asker: Asker): ModelCard[] => {
  const base = bases.get(asker.baseModel)
  if (base === undefined) return []
  const cards = [...adapters.values()]
    .filter((record) => mayUse(record, asker))
    .flatMap((record) => {
      const version = mainVersion(record)
      const isOwn = record.tenant === asker.tenant
      const id = isOwn ? record.name : `${record.tenant}/${record.name}`
      return version === undefined ? [] : [toCard(id, record, version, base)]
    })
    .sort((a, b) => (a.id < b.id ? -1 : 1))
  return [toBaseCard(base), ...cards]
}

const modelPattern = /^(?:(?<owner>[^/@]+)\/)?(?<adapter>[^/@]+)(?:@(?<version>[1-9]\d{0,8}))?$/

const notFound = (model: string): AppError =>
  new AppError(
    'model_not_found',
    `The model ${JSON.stringify(model)} does not exist or you have no access to it`,
    { param: 'model' },
  )

type Found = { base: BaseModelRecord; record: AdapterRecord | null; version: number | null }

/** The base model by its name, or an adapter that the asker may use; of that, maybe one version. */
const find = ({ bases, adapters }: Models, model: string, asker: Asker): Found => {
  const base = bases.get(asker.baseModel)
  if (base === undefined) throw notFound(model)
  if (model === base.name) return { base, record: null, version: null }
  const name = modelPattern.exec(model)?.groups
  if (name === undefined) throw notFound(model)
  const record = adapters.get(`${name.owner ?? asker.tenant}.${name.adapter}`)
  if (record === undefined || !mayUse(record, asker)) throw notFound(model)
  return { base, record, version: name.version === undefined ? null : Number(name.version) }
}

const mayUse = (record: AdapterRecord, { tenant, baseModel }: Asker): boolean =>
  record.baseModel === baseModel && (record.tenant === tenant || record.grants.includes(tenant))

type Version = AdapterRecord['versions'][number]

/** Every request with the same id takes the same version; over many, each has its share. */
const chooseVersion = ({ versions }: AdapterRecord, requestId: string): Version | undefined => {
  const weighted = versions.filter(({ weight }) => weight > 0)
  const total = weighted.reduce((sum, { weight }) => sum + weight, 0)
  const hash = createHash('sha256').update(requestId).digest().readUInt32BE() / 2 ** 32
  let rest = hash * total
  for (const version of weighted) {
    rest -= version.weight
    if (rest < 0) return version
  }
  return weighted.at(-1)
}

const versionOf = ({ versions }: AdapterRecord, version: number): Version | undefined =>
  versions.find((candidate) => candidate.version === version)

/** The one that most requests to the bare name take; undefined: none does. */
const mainVersion = ({ versions }: AdapterRecord): Version | undefined =>
  versions.reduce<Version | undefined>(
    (best, version) => (version.weight > (best?.weight ?? 0) ? version : best),
    undefined,
  )

const toCard = (
  id: string,
  { tenant, createdAtMs }: AdapterRecord,
  { version, digest }: Version,
  base: BaseModelRecord,
): ModelCard => ({
  id,
  object: 'model',
  created: Math.floor(createdAtMs / 1000),
  owned_by: tenant,
  parent: base.name,
  version,
  digest,
  max_model_len: base.maxContext,
})

const toBaseCard = ({ name, maxContext }: BaseModelRecord): ModelCard => ({
  id: name,
  object: 'model',
  created: 0,
  owned_by: 'punica',
  max_model_len: maxContext,
})
