export type PrefixedLines = {
  /** A piece of one source's text; whole lines of it are written. */
  push(text: string): void
  /** Writes what is left. */
  end(): void
}

type Options = {
  prefix: string
  /** Longer lines are broken, between words where there are any. */
  width: number
  write(text: string): void
}

/** Text that arrives in pieces beside others', as lines that each say whose they are. */
export const createPrefixedLines = ({ prefix, width, write }: Options): PrefixedLines => {
  let rest = ''
  const put = (line: string): void => write(`${prefix}${line}\n`)
  return {
    push: (text) => {
      const lines = (rest + text).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) for (const part of breakUp(line, width)) put(part)
      const parts = breakUp(rest, width)
      rest = parts.pop() ?? ''
      for (const part of parts) put(part)
    },
    end: () => {
      if (rest !== '') put(rest)
      rest = ''
    },
  }
}

/** At least one part; none is longer than the width. */
const breakUp = (line: string, width: number): string[] => {
  const parts: string[] = []
  let rest = line
  while (rest.length > width) {
    const space = rest.lastIndexOf(' ', width)
    const end = space > 0 ? space : width
    parts.push(rest.slice(0, end))
    rest = rest.slice(end).replace(/^ /, '')
  }
  return [...parts, rest]
}
