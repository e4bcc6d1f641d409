import { Toast } from '@base-ui/react/toast'
import { X } from 'lucide-react'
import type { ReactNode } from 'react'
import './toasts.css'

/** Room for short messages about what has been done; `useToast` says them. */
export const Toasts = ({ children }: { children: ReactNode }) => (
  <Toast.Provider timeout={6_000} limit={3}>
    {children}
    <Toast.Portal>
      <Toast.Viewport className="toasts">
        <List />
      </Toast.Viewport>
    </Toast.Portal>
  </Toast.Provider>
)

const List = () =>
  Toast.useToastManager().toasts.map((toast) => (
    <Toast.Root key={toast.id} toast={toast} className="toast">
      <Toast.Title className="toast-title" />
      <Toast.Close className="button plain icon" aria-label="Dismiss">
        <X size={14} aria-hidden />
      </Toast.Close>
    </Toast.Root>
  ))

export const useToast = (): ((title: string) => void) => {
  const { add } = Toast.useToastManager()
  return (title) => void add({ title })
}
