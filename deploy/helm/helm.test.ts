import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import path from 'node:path'
import { expect, test } from 'vitest'
import { parseAllDocuments } from 'yaml'
import { z } from 'zod'
import { findHelm } from '../testing/helm.ts'
import { Manifest, problemsOf } from '../testing/manifests.ts'
import { appOf, root, unknownSettings } from '../testing/settings.ts'

const helm = await findHelm()
if (helm === null) console.warn('there is no helm: set HELM to one, and the chart is tested')

const chart = path.join(root, 'deploy/helm/punica')
const cases = readdirSync(path.join(chart, 'ci')).map((name) => path.join(chart, 'ci', name))

const run = (...args: string[]) => spawnSync(helm ?? 'helm', args, { encoding: 'utf8' })

const render = (...args: string[]): Manifest[] => {
  const { status, stdout, stderr } = run(
    'template',
    'demo',
    chart,
    '--namespace',
    'punica',
    ...args,
  )
  if (status !== 0) throw new Error(stderr)
  return parseAllDocuments(stdout, { version: '1.1' })
    .map((document) => document.toJS())
    .filter((value) => value !== null)
    .map((value) => Manifest.parse(value))
}

const Pod = z.object({
  automountServiceAccountToken: z.literal(false),
  terminationGracePeriodSeconds: z.number().min(65),
  securityContext: z.looseObject({ runAsNonRoot: z.literal(true) }),
  serviceAccountName: z.string(),
  containers: z.array(
    z.looseObject({
      args: z.array(z.string()).optional(),
      env: z.array(z.looseObject({ name: z.string() })),
      securityContext: z.looseObject({
        readOnlyRootFilesystem: z.literal(true),
        allowPrivilegeEscalation: z.literal(false),
      }),
      livenessProbe: z.object({ httpGet: z.looseObject({ path: z.literal('/healthz') }) }).loose(),
      readinessProbe: z.object({ httpGet: z.looseObject({ path: z.literal('/readyz') }) }).loose(),
      volumeMounts: z.array(z.looseObject({ name: z.string() })),
    }),
  ),
  volumes: z.array(z.looseObject({ name: z.string() })),
})
const Workload = z.looseObject({
  selector: z.object({ matchLabels: z.record(z.string(), z.string()) }),
  template: z.object({
    metadata: z.object({ labels: z.record(z.string(), z.string()) }),
    spec: z.looseObject({}),
  }),
  volumeClaimTemplates: z
    .array(z.looseObject({ metadata: z.object({ name: z.string() }) }))
    .default([]),
})

const workloads = (manifests: Manifest[]) =>
  manifests
    .filter(({ kind }) => kind === 'Deployment' || kind === 'StatefulSet')
    .map(({ metadata, spec }) => {
      const { selector, template, volumeClaimTemplates } = Workload.parse(spec)
      const claims = volumeClaimTemplates.map(({ metadata: { name } }) => name)
      return { name: metadata.name, selector, template, claims, pod: Pod.parse(template.spec) }
    })

test.skipIf(helm === null).each(cases)('%s: lints, and Kubernetes knows every field', (values) => {
  const { status, stdout } = run('lint', '--strict', chart, '--values', values)
  expect([status, stdout]).toEqual([0, expect.stringContaining('0 chart(s) failed')])
  expect(problemsOf(render('--values', values))).toEqual([])
})

test.skipIf(helm === null)('the check of fields does object to what is wrong', () => {
  const wrong = { apiVersion: 'v1', kind: 'Service', metadata: { name: 'a' }, spec: { prots: [] } }
  expect(problemsOf([wrong])).toEqual([expect.stringContaining('"prots"')])
})

test.skipIf(helm === null).each(cases)(
  '%s: each pod is whole and sets what is read',
  async (values) => {
    const manifests = render('--values', values)
    const accounts = manifests.filter(({ kind }) => kind === 'ServiceAccount')
    for (const { selector, template, claims, pod } of workloads(manifests)) {
      expect(template.metadata.labels).toMatchObject(selector.matchLabels)
      expect(accounts.map(({ metadata }) => metadata.name)).toContain(pod.serviceAccountName)
      for (const { args, env, volumeMounts } of pod.containers) {
        const app = appOf(args ?? ['apps/gpu-node/src/main.ts'])
        const names = env.map(({ name }) => name)
        expect(new Set(names).size).toBe(names.length)
        expect(await unknownSettings(app, names)).toEqual([])
        const volumes = [...claims, ...pod.volumes.map(({ name }) => name)].sort()
        expect(volumeMounts.map(({ name }) => name).sort()).toEqual(volumes)
      }
    }
  },
)

test.skipIf(helm === null)(
  'every Service, budget, autoscaler and policy points at pods there are',
  () => {
    for (const values of cases) {
      const manifests = render('--values', values)
      const all = workloads(manifests)
      const names = all.map(({ name }) => name)
      for (const { kind, spec } of manifests) {
        const text = JSON.stringify(spec ?? {})
        const target = /"scaleTargetRef":\{[^}]*"name":"([^"]+)"/.exec(text)?.[1]
        if (target !== undefined) expect(names).toContain(target)
        const selector =
          kind === 'Service'
            ? spec?.selector
            : kind === 'NetworkPolicy'
              ? z.object({ matchLabels: z.unknown() }).parse(spec?.podSelector).matchLabels
              : null
        if (selector === null) continue
        const labels = z.record(z.string(), z.string()).parse(selector)
        const isMet = all.some(({ template }) =>
          Object.entries(labels).every(([key, value]) => template.metadata.labels[key] === value),
        )
        expect([kind, labels, isMet]).toEqual([kind, labels, true])
      }
    }
  },
)

test.skipIf(helm === null).each([
  ['nats.url is missing', []],
  ['a misspelt value', ['--set', 'nats.url=nats://a', '--set', 'gatway.replicas=2']],
  ['a pool without a model', ['--set', 'nats.url=nats://a', '--set-json', 'pools=[{"name":"a"}]']],
  ['no pool', ['--set', 'nats.url=nats://a', '--set-json', 'pools=[]']],
])('refused: %s', (_, args) => {
  expect(run('template', 'demo', chart, ...args).status).not.toBe(0)
})
