import { AppError, limits } from '@punica/schema'
import type { PeftConfig } from './adapter-config.ts'
import { listModules, type ModelShape, type Module, projectionNames } from './model-shape.ts'
import { compilePattern, type Matcher } from './pattern.ts'
import { PatternError } from './pattern-syntax.ts'

/** A projection that the adapter changes, with the rank and factor that its configuration says. */
export type Target = Module & { rank: number; scale: number }

/** Patterns beside plain names; each is tried on every module, so their number is bounded. */
const maxPatterns = 32

/**
 * The projections that an adapter's configuration selects in a base model, by module name. The
 * rules are those of PEFT: a list selects by name or dotted suffix, a string is a regular
 * expression or "all-linear", and rank_pattern and alpha_pattern match a tail of the name.
 * Throws AppError `adapter_incompatible` where nothing is selected or a rank is over the limit.
 */
export const selectTargets = (config: PeftConfig, shape: ModelShape): Map<string, Target> => {
  const isTarget = toSelector(config)
  const ranks = compilePatterns('rank_pattern', config.rank_pattern)
  const alphas = compilePatterns('alpha_pattern', config.alpha_pattern)
  const targets = new Map<string, Target>()
  for (const module of listModules(shape)) {
    if (!isTarget(module)) continue
    const rank = lookUp(ranks, module.name) ?? config.r
    const alpha = lookUp(alphas, module.name) ?? config.lora_alpha
    if (rank > limits.maxRank) {
      const message = `rank ${rank} of ${module.name} is over the limit of ${limits.maxRank}`
      throw new AppError('adapter_incompatible', `adapter_config.json: ${message}`, { param: 'r' })
    }
    const scale = alpha / (config.use_rslora ? Math.sqrt(rank) : rank)
    targets.set(module.name, { ...module, rank, scale })
  }
  if (targets.size === 0) {
    throw incompatible(
      'target_modules',
      `selects none of the projections of this base model (${projectionNames.join(', ')})`,
    )
  }
  return targets
}

const incompatible = (field: string, message: string): AppError =>
  new AppError('adapter_incompatible', `adapter_config.json: ${field}: ${message}`, {
    param: field,
  })

type Selector = (module: Module) => boolean

const toSelector = (config: PeftConfig): Selector => {
  const { target_modules: targets, exclude_modules: excluded } = config
  if (targets === null || targets === undefined) {
    throw new AppError('adapter_invalid', 'adapter_config.json: target_modules: is missing', {
      param: 'target_modules',
    })
  }
  const isExcluded: Selector =
    excluded === null || excluded === undefined || excluded.length === 0
      ? () => false
      : toNameSelector('exclude_modules', excluded)
  if (typeof targets === 'string' && targets.toLowerCase() === 'all-linear') {
    return (module) => !isExcluded(module)
  }
  const isNamed = toNameSelector('target_modules', targets)
  // PEFT applies the layer lists only beside a list of names.
  const isInLayer = typeof targets === 'string' ? () => true : toLayerSelector(config)
  return (module) => isNamed(module) && isInLayer(module) && !isExcluded(module)
}

const toNameSelector = (field: string, names: string | readonly string[]): Selector => {
  if (typeof names === 'string') {
    const matches = compile(field, names)
    return ({ name }) => matches(name)
  }
  const suffixes = new Set(names)
  return ({ name }) => suffixesOf(name).some((suffix) => suffixes.has(suffix))
}

/** The name itself and what follows each of its dots. */
const suffixesOf = (name: string): string[] => {
  const parts = name.split('.')
  return parts.map((_, i) => parts.slice(i).join('.'))
}

const toLayerSelector = (config: PeftConfig): Selector => {
  const layers = [config.layers_to_transform ?? []].flat()
  if (layers.length === 0) return () => true
  const patterns = [config.layers_pattern ?? []].flat().filter((pattern) => pattern !== '')
  // Our modules lie at model.layers.<n>; any other name of the list of layers selects nothing.
  if (patterns.length > 0 && !patterns.some((p) => p === 'layers' || p === 'model.layers')) {
    return () => false
  }
  return ({ layer }) => layers.includes(layer)
}

type Entry = { index: number; value: number }
type Patterns = { names: Map<string, Entry>; matchers: (Entry & { matches: Matcher })[] }

/** Plain names are looked up; only what has more in it is a pattern that must be tried. */
const compilePatterns = (
  field: string,
  entries: Record<string, number> | null | undefined,
): Patterns => {
  const patterns: Patterns = { names: new Map(), matchers: [] }
  for (const [index, [key, value]] of Object.entries(entries ?? {}).entries()) {
    if (/^[\w.]+$/.test(key)) patterns.names.set(key, { index, value })
    else patterns.matchers.push({ matches: compile(field, `(.*\\.)?(${key})`), index, value })
  }
  if (patterns.matchers.length > maxPatterns) {
    throw incompatible(field, `has more than ${maxPatterns} regular expressions`)
  }
  return patterns
}

/** Where several entries match, the first of the configuration holds. */
const lookUp = ({ names, matchers }: Patterns, name: string): number | undefined => {
  const named = suffixesOf(name).map((suffix) => names.get(suffix))
  const matched = matchers.find(({ matches }) => matches(name))
  let first: Entry | undefined
  for (const entry of [...named, matched]) {
    if (entry !== undefined && (first === undefined || entry.index < first.index)) first = entry
  }
  return first?.value
}

const compile = (field: string, pattern: string): Matcher => {
  try {
    return compilePattern(pattern)
  } catch (cause) {
    if (!(cause instanceof PatternError)) throw cause
    throw incompatible(field, `the pattern ${JSON.stringify(pattern)} ${cause.message}`)
  }
}
