import type { CombinedError } from 'urql'

/** Says plainly what went wrong with a query. */
export const Problem = ({ error }: { error: CombinedError }) => (
  <p role="alert" className="problem">
    {error.networkError === undefined
      ? error.graphQLErrors.map(({ message }) => message).join(' ')
      : 'The control plane does not answer. This page goes on by itself once it does.'}
  </p>
)
