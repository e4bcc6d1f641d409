import path from 'node:path'
import ts from 'typescript'
import { z } from 'zod'
import { root } from './settings.ts'

export const Manifest = z.looseObject({
  apiVersion: z.string(),
  kind: z.string(),
  metadata: z.looseObject({ name: z.string() }),
  spec: z.record(z.string(), z.unknown()).optional(),
})
export type Manifest = z.infer<typeof Manifest>

/** The package that has the types of an API group, made from the schemas of Kubernetes. */
const packageOf = (apiVersion: string): string => {
  if (apiVersion.startsWith('keda.sh/')) return '@kubernetes-models/keda'
  if (apiVersion.startsWith('monitoring.coreos.com/'))
    return '@kubernetes-models/prometheus-operator'
  return 'kubernetes-models'
}

/**
 * What Kubernetes' schemas do not allow in the manifests: a field that it does not have, one of a wrong
 * type or one that is missing. Each manifest is written as a constant of its kind's type, and the
 * compiler, unlike the JSON schemas, objects to unknown fields.
 */
export const problemsOf = (manifests: readonly Manifest[]): string[] => {
  const file = path.join(root, 'deploy/testing/rendered.ts')
  const text = manifests
    .map(({ apiVersion, kind, ...rest }, i) => {
      const module = `${packageOf(apiVersion)}/${apiVersion}`
      const value = JSON.stringify({ apiVersion, kind, ...rest })
      return `import type { I${kind} as I${i} } from '${module}'\nexport const m${i}: I${i} = ${value}\n`
    })
    .join('')
  const options: ts.CompilerOptions = {
    strict: true,
    noEmit: true,
    skipLibCheck: true,
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    types: [],
  }
  const host = ts.createCompilerHost(options)
  const { getSourceFile, fileExists } = host
  host.fileExists = (name) => name === file || fileExists(name)
  host.getSourceFile = (name, target, ...more) =>
    name === file
      ? ts.createSourceFile(name, text, target)
      : getSourceFile.call(host, name, target, ...more)
  const program = ts.createProgram([file], options, host)
  return ts
    .getPreEmitDiagnostics(program)
    .map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'))
}
