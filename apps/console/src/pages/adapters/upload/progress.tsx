import { CircleCheck } from 'lucide-react'
import { useSubscription } from 'urql'
import { formatBytes, formatShare } from '../../../format.ts'
import { AdapterStatusDocument, type UploadFieldsFragment } from '../../../generated/graphql.ts'
import type { PeftFiles } from './pick-files.ts'
import type { PutProgress } from './put-file.ts'

type Props = {
  files: PeftFiles
  upload: UploadFieldsFragment
  /** Of each file while it is sent; null: all are there, and are being checked. */
  progress: Record<string, PutProgress> | null
}

/** How far an upload has come: both files, then the checks of the control plane. */
export const Progress = ({ files, upload, progress }: Props) => {
  const variables = { uploadId: upload.id }
  const [{ data }] = useSubscription({ query: AdapterStatusDocument, variables })
  const status = data?.adapterStatus.status ?? upload.status
  return (
    <ol className="steps">
      {[files.config, files.weights].map((file) => (
        <FileStep
          key={file.name}
          file={file}
          progress={progress?.[file.name]}
          isSent={progress === null}
        />
      ))}
      <li className="step" role="status">
        {progress === null ? (
          <>
            <p>
              {status === 'VALIDATING'
                ? 'Checked against the base model, and tried by a node…'
                : 'Waiting for the checks…'}
            </p>
            <progress aria-label="Checks" />
          </>
        ) : (
          <p className="quiet">Then every tensor is checked, and a node tries the adapter.</p>
        )}
      </li>
    </ol>
  )
}

type FileProps = { file: File; progress: PutProgress | undefined; isSent: boolean }

const FileStep = ({ file, progress, isSent }: FileProps) => {
  const sent = isSent ? file.size : (progress?.sentBytes ?? 0)
  const isDone = sent >= file.size
  return (
    <li className="step">
      <p className="row">
        {isDone && <CircleCheck size={14} aria-hidden />}
        {file.name}
        <span className="quiet spread number">
          {progress?.isWaiting === true && !isSent
            ? 'The connection broke; it goes on from here by itself'
            : `${formatBytes(sent)} of ${formatBytes(file.size)} · ${formatShare(file.size === 0 ? 1 : sent / file.size)}`}
        </span>
      </p>
      <progress aria-label={file.name} value={sent} max={Math.max(1, file.size)} />
    </li>
  )
}
