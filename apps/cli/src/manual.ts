import type { Command } from 'commander'

const head = `# The command line

Written by \`npm run manual -w apps/cli\` from the program's own help; a test compares the two.

From a checkout it is \`npm run --silent punica -- <command>\`, after \`npm run build\`.

## Which system

A command asks the control plane, and \`generate\` and \`bench\` the gateway, by the first of these that names one:

1. the flags \`--url\`, \`--gateway\` and \`--key\`;
2. the environment: \`PUNICA_URL\`, \`PUNICA_GATEWAY_URL\` and \`PUNICA_KEY\`;
3. the \`punica up\` that runs on the data folder (\`--data\`, by default \`.punica\`), whose operator's key goes to that system alone.

\`generate\` and \`bench\` need a key that may generate; with a key that only administers they make one for an hour, for the tenant of \`--tenant\`, and revoke it when they end.

## What it prints

The result goes to stdout, remarks and progress to stderr.
With \`--json\` stdout has one JSON document and nothing else (\`top\` and \`logs\`: one a line), and a failure is \`{"error": {"code", "message", "param"}}\` on stderr.
The codes are those of [failures.md](failures.md), \`usage\` for a wrong call.
Colours and progress bars are for terminals only; \`NO_COLOR\` takes the colours away.
A key is printed where it is made and nowhere else, and is never taken as an argument without a flag.

| exit code | meaning |
| --- | --- |
| 0 | done |
| 1 | failed, or (\`status\`, \`doctor\`) not healthy |
| 2 | called wrongly; nothing was done |
| 130, 143 | interrupted by Ctrl-C or SIGTERM; what was under way is said |

## Completion

\`\`\`sh
source <(punica completion bash)            # in ~/.bashrc
punica completion zsh > "\${fpath[1]}/_punica"
punica completion fish > ~/.config/fish/completions/punica.fish
\`\`\`
`

/** The page docs/cli.md: every command's own help. */
export const toManual = (program: Command): string =>
  `${head}\n## Commands\n\n${pagesOf(program).join('\n')}`

const pagesOf = (command: Command): string[] => {
  // The width of a terminal must not show.
  command.configureOutput({ getOutHelpWidth: () => 100 })
  const { commands } = command
  const pages = commands.length > 0 && command.parent !== null ? [] : [toPage(command)]
  return [...pages, ...commands.flatMap(pagesOf)]
}

const toPage = (command: Command): string => {
  const names: string[] = []
  for (let one: Command | null = command; one !== null; one = one.parent) names.unshift(one.name())
  let text = ''
  command.configureOutput({
    writeOut: (part) => {
      text += part
    },
  })
  command.outputHelp()
  return `### ${names.join(' ')}\n\n\`\`\`\n${text.trim()}\n\`\`\`\n`
}
