/** The command tree of queenctl as a page of Markdown. Pure: what `--help` is made from is all it knows. */

import { EXIT_MEANING } from '../../packages/cli/src/command/exit-codes.ts'
import type { Flag } from '../../packages/cli/src/command/flag.ts'
import { GLOBAL_FLAGS } from '../../packages/cli/src/command/globals.ts'
import { type CommandSpec, isGroup, type Spec } from '../../packages/cli/src/command/spec.ts'
import { aboutOf } from '../../packages/cli/src/command/tree.ts'
import type { Section } from '../../packages/cli/src/commands/all.ts'
import { TOPICS } from '../../packages/cli/src/commands/help.ts'

const INTRO = `# queenctl

The command line of Queen. In this repository: \`npx queenctl\`. \`queenctl <command> --help\` shows what stands here about a
command; this page is made from the same table, and a test holds it equal.

`

export function cliReference(sections: readonly Section[]): string {
  const commands = sections.map(
    ({ heading, commands }) => `## ${heading}\n\n${commands.map((each) => pages(each, [])).join('')}`,
  )
  return [
    INTRO,
    index(sections),
    '\n## Flags of every command\n\n',
    flagTable(GLOBAL_FLAGS),
    '\n## Exit codes\n\n| code | meaning |\n|---|---|\n',
    ...Object.entries(EXIT_MEANING).map(([code, meaning]) => `| ${code} | ${cell(meaning)} |\n`),
    '\nEvery command can end with 0, 1, 2, 3 and 130; what else it can end with stands with it.\n\n',
    ...['times', 'output', 'config'].map(
      (topic) => `## ${title(topic)}\n\n\`\`\`\n${TOPICS[topic]!.join('\n')}\n\`\`\`\n\n`,
    ),
    commands.join(''),
  ]
    .join('')
    .trimEnd()
    .concat('\n')
}

function index(sections: readonly Section[]): string {
  const rows = sections.map(({ heading, commands }) => {
    const shown = commands.filter(isShown).map((each) => `[${each.name}](#${anchor([each.name])})`)
    return `| ${heading} | ${shown.join(', ')} |\n`
  })
  return `| | |\n|---|---|\n${rows.join('')}`
}

function pages(spec: Spec, parents: readonly string[]): string {
  if (!isShown(spec)) return ''
  const path = [...parents, spec.name]
  const aliases = (spec.aliases ?? []).map((each) => `\`${each}\``)
  const also = aliases.length === 0 ? '' : ` Also: ${aliases.join(', ')}.`
  const heading = `${parents.length === 0 ? '###' : '####'} ${path.join(' ')}\n\n`
  if (isGroup(spec))
    return `${heading}${sentence(spec.summary)}${also}\n\n${spec.commands.map((each) => pages(each, path)).join('')}`
  return heading + commandPage(spec, path, also)
}

function commandPage(spec: CommandSpec, path: readonly string[], also: string): string {
  const args = spec.args ?? []
  const flags = spec.flags ?? []
  const usage = [
    'queenctl',
    ...path,
    ...(flags.length > 0 ? ['[flags]'] : []),
    ...(spec.passThrough ? ['--'] : []),
    ...args.map((each) => each.name),
  ]
  return [
    `${text(spec.about ?? sentence(spec.summary))}${also}\n\n`,
    `\`\`\`sh\n${usage.join(' ')}\n\`\`\`\n\n`,
    args.length === 0 ? '' : `| argument | |\n|---|---|\n${args.map(argumentRow).join('')}\n`,
    flags.length === 0 ? '' : `${flagTable(flags)}\n`,
    (spec.exits ?? []).length === 0
      ? ''
      : `Exit codes beside the usual: ${spec.exits!.map((code) => `${code} (${EXIT_MEANING[code]})`).join('; ')}.\n\n`,
    `\`\`\`sh\n${spec.examples.map((each) => `queenctl ${each}`).join('\n')}\n\`\`\`\n\n`,
  ].join('')
}

function argumentRow(argument: NonNullable<CommandSpec['args']>[number]): string {
  return `| \`${argument.name}\` | ${cell(aboutOf(argument))} |\n`
}

function flagTable(flags: readonly Flag[]): string {
  const rows = flags.map((flag) => {
    const fallback = flag.fallback === undefined ? '' : ` (default: ${flag.fallback})`
    return `| \`${flag.flags}\` | ${cell(aboutOf(flag) + fallback)} |\n`
  })
  return `| flag | |\n|---|---|\n${rows.join('')}`
}

const isShown = (spec: Spec): boolean => !('hidden' in spec && spec.hidden === true)
const anchor = (path: readonly string[]): string => path.join('-')
const sentence = (words: string): string => `${title(words)}.`
const title = (words: string): string => words.charAt(0).toUpperCase() + words.slice(1)
/** Angle brackets would be HTML. */
const text = (words: string): string => words.replace(/</g, '\\<')
const cell = (words: string): string => text(words).replaceAll('|', '\\|')
