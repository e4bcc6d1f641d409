/** What a model wrote, safe for a terminal: no control characters, one line. */
export const toLine = (text: string): string => text.replaceAll(/\p{Cc}+/gu, ' ').trim()

/** Exactly `width` characters: cut with an ellipsis, or filled with blanks. */
export const fit = (text: string, width: number): string =>
  text.length > width ? `${text.slice(0, Math.max(0, width - 1))}…` : text.padEnd(width)

/** Lines of at most `width`, broken between words where there are any. */
export const wrap = (text: string, width: number): string[] => {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line)
      line = ''
    }
    line = line === '' ? word : `${line} ${word}`
    for (; line.length > width; line = line.slice(width)) lines.push(line.slice(0, width))
  }
  if (line !== '') lines.push(line)
  return lines
}
