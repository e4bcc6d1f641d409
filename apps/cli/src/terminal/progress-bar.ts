import { formatBytes } from './format.ts'

type Progress = {
  label: string
  doneBytes: number
  totalBytes: number
  bytesPerSecond: number
}

const barWidth = 28

/** One line that says how far a transfer is: its bar, its share, its size and its speed. */
export const drawProgress = (
  { label, doneBytes, totalBytes, bytesPerSecond }: Progress,
  columns: number,
): string => {
  const share = totalBytes === 0 ? 1 : Math.min(1, doneBytes / totalBytes)
  const filled = Math.round(share * barWidth)
  const bar = `${'█'.repeat(filled)}${'░'.repeat(barWidth - filled)}`
  const percent = `${Math.floor(share * 100)}%`.padStart(4)
  const sizes = `${formatBytes(doneBytes)} of ${formatBytes(totalBytes)}`
  const leftBytes = totalBytes - doneBytes
  const speed =
    bytesPerSecond > 0
      ? `  ${formatBytes(bytesPerSecond)}/s  ${Math.ceil(leftBytes / bytesPerSecond)} s left`
      : ''
  return `${label}  ${bar} ${percent}  ${sizes}${leftBytes > 0 ? speed : ''}`.slice(0, columns - 1)
}

export type ProgressBar = {
  show(doneBytes: number): void
  /** Leaves the last state as a line of its own. */
  close(): void
}

/** Drawing more often shows nothing more. */
const frameMs = 100

type Options = {
  label: string
  totalBytes: number
  /** What had been transferred before; it does not count for the speed. */
  keptBytes: number
  output: Pick<NodeJS.WriteStream, 'isTTY' | 'columns' | 'write'>
}

/** A bar that is drawn in place on a terminal, and nothing anywhere else. */
export const openProgressBar = ({ label, totalBytes, keptBytes, output }: Options): ProgressBar => {
  if (!output.isTTY) return { show: () => {}, close: () => {} }
  const startedMs = performance.now()
  let drawnMs = Number.NEGATIVE_INFINITY
  let last = keptBytes
  const draw = (): void => {
    const seconds = (performance.now() - startedMs) / 1000
    const bytesPerSecond = seconds > 0 ? (last - keptBytes) / seconds : 0
    const state = { label, doneBytes: last, totalBytes, bytesPerSecond }
    output.write(`\r\u001b[2K${drawProgress(state, output.columns || 80)}`)
  }
  return {
    show: (doneBytes) => {
      last = doneBytes
      if (performance.now() - drawnMs < frameMs) return
      drawnMs = performance.now()
      draw()
    },
    close: () => {
      draw()
      output.write('\n')
    },
  }
}
