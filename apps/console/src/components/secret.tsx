import { Check, Copy, Download } from 'lucide-react'
import { useState } from 'react'
import { Field } from './field.tsx'
import './secret.css'

type Props = { label: string; value: string; fileName?: string }

/** Something that is shown once: to copy, or to keep as a file. */
export const Secret = ({ label, value, fileName }: Props) => {
  const [isCopied, setIsCopied] = useState(false)
  const copy = async (): Promise<void> => {
    await navigator.clipboard.writeText(value)
    setIsCopied(true)
  }
  return (
    <div className="secret">
      <p className="note warn">
        <span>
          This is shown now and never again: only its hash is kept. Copy it to where it is used.
        </span>
      </p>
      <Field label={label}>
        {({ id }) => (
          <textarea
            id={id}
            className="textarea mono secret-value"
            readOnly
            rows={value.includes('\n') ? 8 : 2}
            value={value}
            onFocus={({ target }) => target.select()}
          />
        )}
      </Field>
      <div className="row">
        <button type="button" className="button primary" onClick={copy}>
          {isCopied ? <Check size={14} aria-hidden /> : <Copy size={14} aria-hidden />}
          {isCopied ? 'Copied' : 'Copy'}
        </button>
        {fileName !== undefined && (
          <a
            className="button"
            download={fileName}
            href={`data:text/plain;charset=utf-8,${encodeURIComponent(value)}`}
          >
            <Download size={14} aria-hidden />
            Save as {fileName}
          </a>
        )}
        <span className="unseen" role="status">
          {isCopied && 'Copied'}
        </span>
      </div>
    </div>
  )
}
