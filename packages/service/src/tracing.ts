import type { Tracer } from '@opentelemetry/api'

export type Attributes = Record<string, string | number | boolean>

/** A part of a request's time, or the whole of it. */
export type Span = {
  /** By which spans of other programs become its children (W3C Trace Context); none: not traced. */
  readonly traceparent: string | undefined
  /** Something that happened at one moment of it. */
  event(name: string, attributes?: Attributes): void
  set(attributes: Attributes): void
  /** Once; `error` says why it ended badly. */
  end(error?: string): void
}

type SpanOptions = {
  /** The traceparent of the span that it is a part of; none: it begins a trace. */
  parent?: string | undefined
  attributes?: Attributes
}

/** Says where the time of a request goes. Attributes are ids, names and numbers, never text. */
export type Tracing = { start(name: string, options?: SpanOptions): Span }

const nothing = (): void => {}
const untraced: Span = { traceparent: undefined, event: nothing, set: nothing, end: nothing }

/** Records nothing; what others record on both sides of this program still belongs together. */
export const noTracing: Tracing = {
  start: (_, { parent } = {}) =>
    parent === undefined ? untraced : { ...untraced, traceparent: parent },
}

/**
 * Sends the spans of this program to the collector that OpenTelemetry's own settings name
 * (`OTEL_EXPORTER_OTLP_ENDPOINT` and its kin), in batches, beside the work. Spans that the collector
 * does not take in time are dropped. Loaded only where it is used: it costs a start of 0.2 s.
 */
export const openTracing = async (
  service: string,
): Promise<{ tracing: Tracing; close(): Promise<void> }> => {
  const { NodeTracerProvider, BatchSpanProcessor } = await import('@opentelemetry/sdk-trace-node')
  const { OTLPTraceExporter } = await import('@opentelemetry/exporter-trace-otlp-http')
  const { defaultResource, resourceFromAttributes } = await import('@opentelemetry/resources')
  const provider = new NodeTracerProvider({
    resource: defaultResource().merge(resourceFromAttributes({ 'service.name': service })),
    spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter())],
  })
  return {
    tracing: await tracingOf(provider.getTracer('punica')),
    close: () => provider.shutdown(),
  }
}

const tracingOf = async (tracer: Tracer): Promise<Tracing> => {
  const { ROOT_CONTEXT, SpanStatusCode, trace } = await import('@opentelemetry/api')
  const { parseTraceParent } = await import('@opentelemetry/core')

  const contextOf = (parent: string | undefined) => {
    const remote = parent === undefined ? null : parseTraceParent(parent)
    return remote === null
      ? ROOT_CONTEXT
      : trace.setSpanContext(ROOT_CONTEXT, { ...remote, isRemote: true })
  }

  return {
    start: (name, { parent, attributes = {} } = {}) => {
      const span = tracer.startSpan(name, { attributes }, contextOf(parent))
      const { traceId, spanId, traceFlags } = span.spanContext()
      return {
        traceparent: `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`,
        event: (what, details) => void span.addEvent(what, details),
        set: (more) => void span.setAttributes(more),
        end: (error) => {
          if (error !== undefined) span.setStatus({ code: SpanStatusCode.ERROR, message: error })
          span.end()
        },
      }
    },
  }
}
