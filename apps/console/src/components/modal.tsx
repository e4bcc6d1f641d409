import { Dialog } from '@base-ui/react/dialog'
import { X } from 'lucide-react'
import type { ReactNode } from 'react'
import './modal.css'

type Props = {
  title: string
  description?: ReactNode
  children: ReactNode
  onClose: () => void
  closeLabel?: string
  isWide?: boolean
}

/** A dialog over the page. It is open for as long as it is rendered. */
export const Modal = ({
  title,
  description,
  children,
  onClose,
  closeLabel = 'Close',
  isWide = false,
}: Props) => (
  <Dialog.Root open onOpenChange={(isOpen) => !isOpen && onClose()} disablePointerDismissal>
    <Dialog.Portal>
      <Dialog.Backdrop className="modal-backdrop" />
      <Dialog.Popup className={isWide ? 'modal wide' : 'modal'}>
        <header className="modal-head">
          <Dialog.Title className="modal-title">{title}</Dialog.Title>
          <Dialog.Close className="button plain icon" aria-label={closeLabel}>
            <X size={16} aria-hidden />
          </Dialog.Close>
        </header>
        {description !== undefined && (
          <Dialog.Description className="modal-description">{description}</Dialog.Description>
        )}
        {children}
      </Dialog.Popup>
    </Dialog.Portal>
  </Dialog.Root>
)
