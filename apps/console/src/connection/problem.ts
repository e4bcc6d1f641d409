import type { CombinedError } from 'urql'

/** What went wrong, in words for the person at the screen. */
export type Problem = {
  /** Of the closed table of errors, or `unreachable` where no answer came. */
  code: string
  message: string
  /** The field of the input at fault. */
  field: string | null
}

const unreachable =
  'The control plane does not answer. What you entered stays here, and this page goes on by itself once it does.'

const internal =
  'The control plane failed to answer (an internal error; its log says why). Nothing that you entered is lost: try again.'

export const toProblem = ({ networkError, graphQLErrors, response }: CombinedError): Problem => {
  const [first] = graphQLErrors
  if (first !== undefined) {
    const { code, field } = first.extensions
    return {
      code: typeof code === 'string' ? code : 'internal',
      message: code === 'internal' ? internal : first.message,
      field: typeof field === 'string' ? field : null,
    }
  }
  const status: unknown = response?.status
  if (typeof status === 'number' && status >= 500) {
    return { code: 'internal', message: internal, field: null }
  }
  const message = networkError === undefined ? internal : unreachable
  return { code: 'unreachable', message, field: null }
}
