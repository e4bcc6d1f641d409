import { Modal } from '../components/modal.tsx'
import type { Session } from './session.ts'
import { SignInForm } from './sign-in.tsx'

type Props = { message: string; onSignIn: (session: Session) => void; onSignOut: () => void }

/** Over the page, so that nothing that was typed there is lost. */
export const SignInAgain = ({ message, onSignIn, onSignOut }: Props) => (
  <Modal
    title="Sign in again"
    description="What is on the page stays as it is."
    onClose={onSignOut}
    closeLabel="Sign out"
  >
    <SignInForm message={message} onSignIn={onSignIn} />
  </Modal>
)
