import { useState } from 'react'
import { Link } from 'wouter'
import { Modal } from '../../../components/modal.tsx'
import { ProblemNote } from '../../../components/problem-note.tsx'
import type { VersionFieldsFragment } from '../../../generated/graphql.ts'
import { useRights } from '../../../session/context.tsx'
import { type Check, checkFiles } from './check-files.ts'
import { CheckList } from './check-list.tsx'
import { DropZone } from './drop-zone.tsx'
import type { PeftFiles } from './pick-files.ts'
import { Progress } from './progress.tsx'
import { TargetFields } from './target-fields.tsx'
import { type Target, type UploadState, useUpload } from './use-upload.ts'

type Props = {
  /** A new version of it; absent: any adapter. */
  adapter?: { tenant: string; name: string; baseModel: string }
  onClose: () => void
}

/** From a folder on somebody's disk to a version that serves. */
export const UploadDialog = ({ adapter, onClose }: Props) => {
  const { ownTenant } = useRights()
  const { state, start, cancel } = useUpload()
  const [picked, setPicked] = useState<{ files: PeftFiles; checks: Check[] } | null>(null)
  const [refusal, setRefusal] = useState<string | null>(null)
  const [target, setTarget] = useState<Target>({
    tenant: adapter?.tenant ?? ownTenant ?? '',
    name: adapter?.name ?? '',
    baseModel: adapter?.baseModel ?? '',
    weight: 1,
  })

  const take = async (files: PeftFiles | string): Promise<void> => {
    setRefusal(typeof files === 'string' ? files : null)
    if (typeof files === 'string') return setPicked(null)
    setPicked({ files, checks: await checkFiles(files) })
    const proposed = toName(files.folderName)
    if (proposed !== '') setTarget((before) => ({ ...before, name: before.name || proposed }))
  }
  const title = adapter === undefined ? 'Upload an adapter' : `A new version of ${adapter.name}`

  if (state.step === 'done') {
    return (
      <Modal title={title} onClose={onClose} isWide>
        <Done target={target} version={state.version} onClose={onClose} />
      </Modal>
    )
  }
  return (
    <Modal title={title} onClose={onClose} isWide>
      {state.step === 'form' || picked === null ? (
        <form
          className="stack"
          onSubmit={(event) => {
            event.preventDefault()
            if (picked !== null) start(picked.files, target)
          }}
        >
          <DropZone files={picked?.files ?? null} onFiles={take} />
          {refusal !== null && (
            <ProblemNote problem={{ code: 'adapter_invalid', message: refusal, field: null }} />
          )}
          {picked !== null && <CheckList checks={picked.checks} />}
          <TargetFields
            target={target}
            isFixed={adapter !== undefined}
            onChange={setTarget}
            problem={state.step === 'form' ? state.problem : null}
          />
          {state.step === 'form' && state.problem !== null && (
            <ProblemNote problem={state.problem} />
          )}
          <div className="modal-actions">
            <button type="button" className="button" onClick={onClose}>
              Cancel
            </button>
            <button
              type="submit"
              className="button primary"
              disabled={picked === null || picked.checks.some(({ isOk }) => !isOk)}
            >
              Upload and publish
            </button>
          </div>
        </form>
      ) : (
        <Sending state={state} files={picked.files} onCancel={cancel} />
      )}
    </Modal>
  )
}

/** A folder's name as an adapter may be called. */
const toName = (folder: string | null): string =>
  (folder ?? '')
    .toLowerCase()
    .replaceAll(/[^a-z0-9._-]+/g, '-')
    .replaceAll(/^[^a-z0-9]+|[^a-z0-9]+$/g, '')

type SendingProps = {
  state: Extract<UploadState, { step: 'sending' | 'checking' }>
  files: PeftFiles
  onCancel: () => void
}

const Sending = ({ state, files, onCancel }: SendingProps) => (
  <>
    <Progress
      files={files}
      upload={state.upload}
      progress={state.step === 'sending' ? state.progress : null}
    />
    {state.step === 'sending' && (
      <div className="modal-actions">
        <button type="button" className="button" onClick={onCancel}>
          Stop
        </button>
      </div>
    )}
  </>
)

type DoneProps = { target: Target; version: VersionFieldsFragment; onClose: () => void }

const Done = ({ target: { tenant, name, weight }, version, onClose }: DoneProps) => {
  const { probe } = version
  return (
    <div className="stack">
      <p className="note good" role="status">
        Version {version.version} of {name} is published and serves {shareInWords(weight)}.
        {probe !== null &&
          ` ${probe.nodeId} tried it: ${probe.changedTokens} of ${probe.numTokens} tokens differ from the base model’s.`}
      </p>
      <div className="modal-actions">
        <Link className="button" href={`/adapters/${tenant}/${name}`} onClick={onClose}>
          See the adapter
        </Link>
        <Link
          className="button primary"
          href={`/playground?tenant=${tenant}&model=${name}`}
          onClick={onClose}
        >
          Try it
        </Link>
      </div>
    </div>
  )
}

const shareInWords = (weight: number): string => {
  if (weight === 1) return 'all requests to its name'
  if (weight === 0) return 'only those who ask for the version'
  return `${Math.round(weight * 100)} % of the requests to its name`
}
