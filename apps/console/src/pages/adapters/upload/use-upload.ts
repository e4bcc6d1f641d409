import { useEffect, useRef, useState } from 'react'
import type { Problem } from '../../../connection/problem.ts'
import { useAction } from '../../../connection/use-action.ts'
import {
  CreateAdapterUploadDocument,
  PublishAdapterDocument,
  type UploadFieldsFragment,
  type VersionFieldsFragment,
} from '../../../generated/graphql.ts'
import { useSession } from '../../../session/context.tsx'
import type { PeftFiles } from './pick-files.ts'
import { type PutProgress, putFile } from './put-file.ts'

export type Target = {
  tenant: string
  name: string
  baseModel: string
  /** Share of the requests to the bare name that the new version takes, 0 to 1. */
  weight: number
}

export type UploadState =
  | { step: 'form'; problem: Problem | null }
  | { step: 'sending'; upload: UploadFieldsFragment; progress: Record<string, PutProgress> }
  | { step: 'checking'; upload: UploadFieldsFragment }
  | { step: 'done'; version: VersionFieldsFragment }

/** Opens an upload, sends both files and publishes them; whatever goes wrong leads back to the form. */
export const useUpload = () => {
  const { key } = useSession().session
  const [state, setState] = useState<UploadState>({ step: 'form', problem: null })
  const [create] = useAction(CreateAdapterUploadDocument)
  const [publish] = useAction(PublishAdapterDocument)
  const stop = useRef(new AbortController())
  useEffect(() => () => stop.current.abort(), [])

  const send = async (upload: UploadFieldsFragment, files: PeftFiles): Promise<Problem | null> => {
    stop.current = new AbortController()
    setState({ step: 'sending', upload, progress: {} })
    for (const file of [files.config, files.weights]) {
      const url = upload.files.find(({ name }) => name === file.name)?.url
      if (url === undefined) throw new Error(`the upload has no place for ${file.name}`)
      const onProgress = (progress: PutProgress): void =>
        setState((before) =>
          before.step === 'sending'
            ? { ...before, progress: { ...before.progress, [file.name]: progress } }
            : before,
        )
      const { signal } = stop.current
      const problem = await putFile({ file, url, key, signal, onProgress })
      if (problem !== null) return problem
    }
    return null
  }

  const start = async (files: PeftFiles, { weight, ...target }: Target): Promise<void> => {
    const fail = (problem: Problem): void => setState({ step: 'form', problem })
    const opened = await create({ input: target })
    if (!opened.ok) return fail(opened.problem)
    const { upload } = opened.payload
    const problem = await send(upload, files)
    if (problem !== null) return fail(problem)
    setState({ step: 'checking', upload })
    const published = await publish({ input: { uploadId: upload.id, weight } })
    if (!published.ok) return fail(published.problem)
    setState({ step: 'done', version: published.payload.version })
  }
  return { state, start, cancel: () => stop.current.abort() }
}
