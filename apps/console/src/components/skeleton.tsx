import './notes.css'

/** Stands where an answer will be. */
export const Skeleton = () => (
  <div className="stack" aria-busy="true" role="status">
    <span className="unseen">Loading</span>
    <div className="skeleton" />
    <div className="skeleton" />
    <div className="skeleton" />
  </div>
)
