import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'

type Definition = { name: string; help: string; labelNames?: readonly string[] }

/** The Prometheus metrics of one service: made once, by name, and rendered on demand. */
export type Metrics = {
  counter(definition: Definition): Counter
  gauge(definition: Definition & { collect?: () => number }): Gauge
  histogram(definition: Definition & { buckets: number[] }): Histogram
  render(): Promise<{ contentType: string; body: string }>
}

/** Every series carries the label `service`. */
export const createMetrics = (service: string): Metrics => {
  const registry = new Registry()
  registry.setDefaultLabels({ service })
  collectDefaultMetrics({ register: registry })
  const common = { registers: [registry] }
  return {
    counter: ({ labelNames = [], ...rest }) => new Counter({ ...rest, ...common, labelNames }),
    gauge: ({ labelNames = [], collect, ...rest }) =>
      new Gauge({
        ...rest,
        ...common,
        labelNames,
        ...(collect === undefined
          ? {}
          : {
              collect() {
                this.set(collect())
              },
            }),
      }),
    histogram: ({ labelNames = [], ...rest }) => new Histogram({ ...rest, ...common, labelNames }),
    render: async () => ({ contentType: registry.contentType, body: await registry.metrics() }),
  }
}
