import { createHash } from 'node:crypto'
import {
  type AdapterRecord,
  type AdapterRef,
  AppError,
  type BaseModelRecord,
  defaultAlias,
  type ModelCard,
} from '@punica/schema'
import type { Catalog } from './catalog.ts'

type Models = Pick<Catalog, 'bases' | 'adapters'>

/** What a model's name stands for: the base model, or one immutable version of an adapter of it. */
export type ResolvedModel = {
  base: BaseModelRecord
  adapter: AdapterRef | null
  /** `tenant/name` of the adapter's owner. */
  adapterName: string | null
}

type Asker = { tenant: string; baseModel: string }

/**
 * Finds `adapter`, `tenant/adapter`, either with `@version` or `@alias`, or the base model by its
 * name. A bare name is the alias `default`. An alias with several versions takes one of them by the
 * request's id, in proportion to their weights, so that the same id always takes the same one.
 *
 * Throws `model_not_found` in the same words for what does not exist and for what another tenant
 * has not granted, so that names cannot be probed.
 */
export const resolveModel = (
  models: Models,
  model: string,
  { requestId, ...asker }: Asker & { requestId: string },
): ResolvedModel => {
  const { base, record, selector } = find(models, model, asker)
  if (record === null) return { base, adapter: null, adapterName: null }
  const chosen =
    typeof selector === 'number'
      ? versionOf(record, selector)
      : chooseVersion(record, selector, requestId)
  if (chosen === undefined) throw notFound(model)
  const { digest, rank, sizeBytes, files } = chosen
  return {
    base,
    adapter: { digest, rank, sizeBytes, files },
    adapterName: `${record.tenant}/${record.name}`,
  }
}

/** The card of one model under the name that was asked for. Throws as resolveModel does. */
export const findModel = (models: Models, model: string, asker: Asker): ModelCard => {
  const { base, record, selector } = find(models, model, asker)
  if (record === null) return toBaseCard(base)
  const shown =
    typeof selector === 'number' ? versionOf(record, selector) : mainVersion(record, selector)
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
      const version = mainVersion(record, defaultAlias)
      const isOwn = record.tenant === asker.tenant
      const id = isOwn ? record.name : `${record.tenant}/${record.name}`
      return version === undefined ? [] : [toCard(id, record, version, base)]
    })
    .sort((a, b) => (a.id < b.id ? -1 : 1))
  return [toBaseCard(base), ...cards]
}

const modelPattern =
  /^(?:(?<owner>[^/@]+)\/)?(?<adapter>[^/@]+)(?:@(?:(?<version>[1-9]\d{0,8})|(?<alias>[a-z][a-z0-9-]*)))?$/

const notFound = (model: string): AppError =>
  new AppError(
    'model_not_found',
    `The model ${JSON.stringify(model)} does not exist or you have no access to it`,
    { param: 'model' },
  )

type Found = {
  base: BaseModelRecord
  record: AdapterRecord | null
  /** Of the adapter: a version by its number, or an alias. */
  selector: number | string
}

/** The base model by its name, or an adapter that the asker may use with what is wanted of it. */
const find = ({ bases, adapters }: Models, model: string, asker: Asker): Found => {
  const base = bases.get(asker.baseModel)
  if (base === undefined) throw notFound(model)
  if (model === base.name) return { base, record: null, selector: defaultAlias }
  const name = modelPattern.exec(model)?.groups
  if (name === undefined) throw notFound(model)
  const record = adapters.get(`${name.owner ?? asker.tenant}.${name.adapter}`)
  if (record === undefined || !mayUse(record, asker)) throw notFound(model)
  const { version, alias = defaultAlias } = name
  return { base, record, selector: version === undefined ? alias : Number(version) }
}

const mayUse = (record: AdapterRecord, { tenant, baseModel }: Asker): boolean =>
  record.baseModel === baseModel && (record.tenant === tenant || record.grants.includes(tenant))

type Version = AdapterRecord['versions'][number]

/** Every request with the same id takes the same version; over many, each has its share. */
const chooseVersion = (
  record: AdapterRecord,
  alias: string,
  requestId: string,
): Version | undefined => {
  const targets = targetsOf(record, alias)
  const total = targets.reduce((sum, { weight }) => sum + weight, 0)
  const hash = createHash('sha256').update(requestId).digest().readUInt32BE() / 2 ** 32
  let rest = hash * total
  const chosen = targets.find(({ weight }) => {
    rest -= weight
    return rest < 0
  })
  return versionOf(record, (chosen ?? targets.at(-1))?.version)
}

const targetsOf = ({ aliases }: AdapterRecord, alias: string) =>
  aliases.find(({ name }) => name === alias)?.targets ?? []

const versionOf = ({ versions }: AdapterRecord, version: number | undefined): Version | undefined =>
  versions.find((candidate) => candidate.version === version)

/** The one that most requests to the alias take, the newest of several; undefined: none does. */
const mainVersion = (record: AdapterRecord, alias: string): Version | undefined => {
  const targets = targetsOf(record, alias)
  const most = Math.max(...targets.map(({ weight }) => weight))
  return versionOf(record, targets.findLast(({ weight }) => weight === most)?.version)
}

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
