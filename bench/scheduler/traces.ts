import { type Lengths, maxNewTokens } from './lengths.ts'
import { createAdapters, geometric, type Popularity, zipf } from './popularity.ts'
import { createRandom, deriveSeed } from './random.ts'
import type { Arrival, Trace } from './trace.ts'

export type TraceOptions = {
  readonly seed: number
  readonly durationMs: number
  /** Requests per second, over the whole trace. */
  readonly meanRate: number
  readonly numAdapters: number
  readonly lengths: Lengths
  readonly bytesPerRank: number
  readonly numTenants: number
}

/** How the rate goes over the trace, `at` from 0 to 1; of mean 1. */
type Shape = { readonly peak: number; at(share: number): number }

type Kind = {
  readonly description: string
  readonly shape: Shape
  popularity(numAdapters: number): Popularity
  readonly ranks: readonly number[]
  /** From here on (a share of the trace) this part of the requests is for one adapter. */
  readonly crowd?: { from: number; part: number }
}

const steady: Shape = { peak: 1, at: () => 1 }
/** Evenly up from nothing, and down again. */
const ramp: Shape = { peak: 2, at: (share) => 2 * (1 - Math.abs(2 * share - 1)) }
/** A day: lowest at its ends. */
const day: Shape = { peak: 1.8, at: (share) => 1 - 0.8 * Math.cos(2 * Math.PI * share) }

/** Half the mean rate; at 40 % of the trace suddenly many times that, and then slowly back. */
const surge: Shape = {
  peak: 4.69,
  at: (share) => 0.5 + (share < 0.4 ? 0 : 4.19 * Math.exp(-(share - 0.4) / 0.12)),
}

const skewed = (numAdapters: number): Popularity => geometric(1.5, Math.min(numAdapters, 100))
const zipfian =
  (exponent: number) =>
  (numAdapters: number): Popularity =>
    zipf(exponent, numAdapters)

const kinds: Readonly<Record<string, Kind>> = {
  paper: {
    description: "Punica's cluster experiment: the rate rises and falls, popularity geometric 1.5",
    shape: ramp,
    popularity: skewed,
    ranks: [16],
  },
  steady: {
    description: 'a steady rate, popularity geometric 1.5',
    shape: steady,
    popularity: skewed,
    ranks: [16],
  },
  'zipf-0.9': {
    description: 'a steady rate, Zipf 0.9',
    shape: steady,
    popularity: zipfian(0.9),
    ranks: [16],
  },
  'zipf-1.1': {
    description: 'a steady rate, Zipf 1.1',
    shape: steady,
    popularity: zipfian(1.1),
    ranks: [16],
  },
  'mixed-ranks': {
    description: 'a steady rate, Zipf 1.1, ranks 8, 16, 32 and 64 in equal numbers',
    shape: steady,
    popularity: zipfian(1.1),
    ranks: [8, 16, 32, 64],
  },
  'flash-crowd': {
    description:
      'Zipf 1.1; at 40 % of the time the rate jumps to nine times what it was, most of it for one adapter that nobody had asked for',
    shape: surge,
    popularity: zipfian(1.1),
    ranks: [16],
    crowd: { from: 0.4, part: 0.8 },
  },
  diurnal: {
    description: 'the rate of a day (0.2 to 1.8 of the mean), pressed into the duration; Zipf 1.1',
    shape: day,
    popularity: zipfian(1.1),
    ranks: [16],
  },
}

export const traceNames = Object.keys(kinds)

/** Poisson arrivals of a named kind. Throws for a name that is not one of `traceNames`. */
export const createTrace = (name: string, options: TraceOptions): Trace => {
  const kind = kinds[name]
  if (kind === undefined) throw new Error(`${name} is not one of ${traceNames.join(', ')}`)
  return {
    name,
    description: `${kind.description}; ${options.lengths.description}`,
    durationMs: options.durationMs,
    arrivals: () => draw(kind, options),
  }
}

function* draw(kind: Kind, options: TraceOptions): Generator<Arrival> {
  const { seed, durationMs, meanRate, lengths, numTenants } = options
  const use = (name: string) => createRandom(deriveSeed(seed, name))
  const random = { time: use('time'), length: use('length'), adapter: use('adapter') }
  const popularity = kind.popularity(options.numAdapters)
  const adapters = createAdapters(popularity.numAdapters, {
    ranks: kind.ranks,
    bytesPerRank: options.bytesPerRank,
  })
  const meanGapMs = 1e3 / (meanRate * kind.shape.peak)
  // Arrivals at the peak rate, of which as many are kept as the rate of the moment wants.
  for (let timeMs = 0; ; ) {
    timeMs += random.time.exponential(meanGapMs)
    if (timeMs >= durationMs) return
    const share = timeMs / durationMs
    if (random.time.next() * kind.shape.peak >= kind.shape.at(share)) continue
    const index = pickAdapter(kind, share, popularity, random.adapter)
    const adapter = adapters[index] ?? null
    const tenant = `t${index % numTenants}`
    yield { timeMs, tenant, adapter, ...lengths.draw(random.length), maxNewTokens }
  }
}

/** The crowd's adapter is the last one, which hardly anybody asks for otherwise. */
const pickAdapter = (
  { crowd, shape }: Kind,
  share: number,
  popularity: Popularity,
  random: ReturnType<typeof createRandom>,
): number => {
  const inCrowd = crowd !== undefined && share >= crowd.from && shape.at(share) > 1
  if (inCrowd && random.next() < crowd.part) return popularity.numAdapters - 1
  return popularity.draw(random)
}
