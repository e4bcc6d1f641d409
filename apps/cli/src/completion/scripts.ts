import type { Command } from 'commander'

export const shells = ['bash', 'zsh', 'fish'] as const
type Shell = (typeof shells)[number]

/** What may follow a command: `words` are its path below the program. */
type Place = {
  words: readonly string[]
  commands: readonly { name: string; description: string }[]
  options: readonly { flag: string; description: string }[]
}

/**
 * A script that completes commands and options. All that it offers is written into it, so a Tab
 * costs no start of the program; after an update it is made anew.
 */
export const completionScript = (shell: Shell, program: Command): string => {
  const places = placesOf(program, [])
  if (shell === 'fish') return fishScript(places)
  return shell === 'bash' ? bashScript(places) : zshScript(places)
}

const placesOf = (command: Command, words: readonly string[]): Place[] => {
  const help = command.createHelp()
  const commands = help
    .visibleCommands(command)
    .map((sub) => ({ name: sub.name(), description: sub.description() }))
  const options = help
    .visibleOptions(command)
    .flatMap(({ long, description }) => (long == null ? [] : [{ flag: long, description }]))
  return [
    { words, commands, options },
    ...command.commands.flatMap((sub) => placesOf(sub, [...words, sub.name()])),
  ]
}

/** The words of the line that are commands, so far as the places know them. */
const findPlace = `  place=''
  for word in "\${typed[@]}"; do
    case " $places " in
      *" \${place:+\${place}/}$word "*) place="\${place:+\${place}/}$word" ;;
    esac
  done`

const knownPlaces = (places: readonly Place[]): string =>
  places.flatMap(({ words }) => (words.length === 0 ? [] : [words.join('/')])).join(' ')

const toCases = (places: readonly Place[]): string =>
  places
    .map(({ words, commands, options }) => {
      const candidates = [...commands.map(({ name }) => name), ...options.map(({ flag }) => flag)]
      return `    '${words.join('/')}') candidates='${candidates.join(' ')}' ;;`
    })
    .join('\n')

const bashScript = (places: readonly Place[]): string => `# punica completion for bash
_punica() {
  local word place candidates typed
  local places='${knownPlaces(places)}'
  typed=("\${COMP_WORDS[@]:1:COMP_CWORD-1}")
${findPlace}
  case "$place" in
${toCases(places)}
  esac
  COMPREPLY=($(compgen -W "$candidates" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _punica punica
`

const zshScript = (places: readonly Place[]): string => `#compdef punica
# punica completion for zsh
_punica() {
  local word place candidates
  local places='${knownPlaces(places)}'
  local -a typed
  typed=("\${words[@]:1:$((CURRENT - 2))}")
${findPlace}
  case "$place" in
${toCases(places)}
  esac
  compadd -- \${=candidates}
  _files
}
if [ "$funcstack[1]" = _punica ]; then _punica "$@"; else compdef _punica punica; fi
`

/** fish asks for each offer whether it stands where it is. */
const fishScript = (places: readonly Place[]): string => {
  const lines = places.flatMap(({ words, commands, options }) => {
    const isHere = [
      ...words.map((word) => `__fish_seen_subcommand_from ${word}`),
      ...(commands.length === 0
        ? []
        : [`not __fish_seen_subcommand_from ${commands.map(({ name }) => name).join(' ')}`]),
    ].join('; and ')
    const condition = isHere === '' ? '' : ` -n '${isHere}'`
    return [
      ...commands.map(
        ({ name, description }) =>
          `complete -c punica -f${condition} -a ${name} -d ${quote(description)}`,
      ),
      ...options.map(
        ({ flag, description }) =>
          `complete -c punica${condition} -l ${flag.slice(2)} -d ${quote(description)}`,
      ),
    ]
  })
  return `# punica completion for fish\n${lines.join('\n')}\n`
}

const quote = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`
