import { FolderUp } from 'lucide-react'
import { useState } from 'react'
import { formatBytes } from '../../../format.ts'
import { type PeftFiles, pickFiles, readDropped } from './pick-files.ts'
import './upload.css'

type Props = { files: PeftFiles | null; onFiles: (files: PeftFiles | string) => void }

/** Takes a PEFT folder: dropped, or chosen as a folder or as its two files. */
export const DropZone = ({ files, onFiles }: Props) => {
  const [isOver, setIsOver] = useState(false)
  const choose = (list: FileList | null): void => onFiles(pickFiles([...(list ?? [])]))
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: dropping is for the pointer; the inputs inside are for all
    <div
      className={isOver ? 'drop-zone over' : 'drop-zone'}
      onDragOver={(event) => {
        event.preventDefault()
        setIsOver(true)
      }}
      onDragLeave={() => setIsOver(false)}
      onDrop={async (event) => {
        event.preventDefault()
        setIsOver(false)
        onFiles(pickFiles(await readDropped(event.dataTransfer)))
      }}
    >
      <FolderUp size={22} aria-hidden />
      {files === null ? (
        <p>
          Drop the folder of a PEFT adapter here
          <br />
          <span className="quiet small">adapter_config.json and adapter_model.safetensors</span>
        </p>
      ) : (
        <p>
          {files.folderName ?? 'Two files'}
          <br />
          <span className="quiet small">
            {formatBytes(files.config.size)} + {formatBytes(files.weights.size)}
          </span>
        </p>
      )}
      <div className="row">
        <label className="button">
          Choose a folder
          <input
            type="file"
            className="unseen"
            ref={(input) => input?.setAttribute('webkitdirectory', '')}
            onChange={({ target }) => choose(target.files)}
          />
        </label>
        <label className="button">
          Choose two files
          <input
            type="file"
            className="unseen"
            multiple
            accept=".json,.safetensors"
            onChange={({ target }) => choose(target.files)}
          />
        </label>
      </div>
    </div>
  )
}
