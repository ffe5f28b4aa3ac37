/** Makes commander's tree from the specs. What commander cannot say in data is here and nowhere else. */
import { Command, Option } from 'commander'
import { Call } from './call.ts'
import { EXIT_MEANING } from './exit-codes.ts'
import { CliError } from './failure.ts'
import type { Flag } from './flag.ts'
import { GLOBAL_FLAGS } from './globals.ts'
import { type CommandSpec, isGroup, type Spec } from './spec.ts'

export interface Invocation {
  readonly spec: CommandSpec
  /** `maintenance run` */
  readonly path: string
  readonly call: Call
  /** Global flags that stand in the line. */
  readonly said: Readonly<Record<string, unknown>>
}

export interface TreeOptions {
  readonly version: string
  readonly onInvoke: (invocation: Invocation) => Promise<void>
  readonly writeOut: (text: string) => void
  readonly writeError: (text: string) => void
  /** Under which heading of the program's help a command stands. */
  readonly headingOf?: (spec: Spec) => string | undefined
}

const PROGRAM = 'queenctl'
/** Every command can end with these. */
const EXITS_ALWAYS = [0, 1, 2, 3, 130]

export function createTree(specs: readonly Spec[], options: TreeOptions): Command {
  const program = new Command(PROGRAM)
    .description('The command line of Queen, a message queue on PostgreSQL.')
    .version(`${PROGRAM} ${options.version}`, '--version', 'version of queenctl')
    .helpOption('-h, --help', 'help')
    .helpCommand(false)
    .enablePositionalOptions()
    .showSuggestionAfterError(true)
    .exitOverride()
    // Every command has flags; saying so at each of them says nothing.
    .configureHelp({ subcommandTerm: termOf })
    // The error itself is printed once, by main, in the shape that was asked for.
    .configureOutput({ writeOut: options.writeOut, writeErr: options.writeError, outputError: () => {} })
  addGlobals(program, [], false)
  program.addHelpText(
    'after',
    `\nTopics: ${PROGRAM} help times | output | exit-codes | config | maintenance\nDetails: ${PROGRAM} <command> --help`,
  )
  for (const spec of specs) addSpec(program, spec, [], options)
  return program
}

function termOf(command: Command): string {
  const args = command.registeredArguments.map((each) => {
    const name = each.variadic ? `${each.name()}...` : each.name()
    return each.required ? `<${name}>` : `[${name}]`
  })
  const rest = command.commands.length > 0 ? ['<command>'] : args
  return [[command.name(), ...command.aliases().slice(0, 1)].join('|'), ...rest].join(' ')
}

function addSpec(parent: Command, spec: Spec, parents: readonly string[], options: TreeOptions): void {
  const path = [...parents, spec.name]
  const command = parent.command(spec.name, { hidden: 'hidden' in spec && spec.hidden === true })
  const heading = parents.length === 0 ? options.headingOf?.(spec) : undefined
  if (heading !== undefined) command.helpGroup(`${heading}:`)
  command.summary(spec.summary).description(spec.about === undefined ? sentence(spec.summary) : spec.about)
  for (const alias of spec.aliases ?? []) command.alias(alias)
  command.helpCommand(false)
  if (isGroup(spec)) {
    addGlobals(command, [], true)
    for (const each of spec.commands) addSpec(command, each, path, options)
    return
  }
  for (const { name, about, choices } of spec.args ?? []) {
    const argument = command.createArgument(name, about)
    command.addArgument(choices === undefined ? argument : argument.choices([...choices]))
  }
  const flags = spec.flags ?? []
  for (const flag of flags) command.addOption(optionOf(flag))
  addGlobals(command, flags, true)
  if (spec.passThrough) command.passThroughOptions()
  command.addHelpText('after', () => helpTail(spec))
  command.action(async (...given: unknown[]) => {
    const call = new Call(given.slice(0, -2), ownValues(command, flags))
    await options.onInvoke({ spec, path: path.join(' '), call, said: saidGlobals(command, flags) })
  })
}

function optionOf(flag: Flag): Option {
  const option = new Option(flag.flags, aboutOf(flag))
  const { parse, fallback } = flag
  if (parse === undefined) return option
  const named = (value: string, previous: unknown): unknown => {
    try {
      return parse(value, previous)
    } catch (error) {
      if (!(error instanceof CliError)) throw error
      throw new CliError(`${option.long}: ${error.message}`, { hint: error.hint })
    }
  }
  option.argParser(named)
  if (fallback !== undefined) option.default(parse(fallback, undefined), fallback)
  return option
}

/** What may be given stands in the help, not only in the error that follows a wrong guess. */
export function aboutOf({ about, choices }: Pick<Flag, 'about' | 'choices'>): string {
  return choices === undefined ? about : `${about}: ${choices.join(', ')}`
}

/** A command's own flag of the same name wins: `--timeout` of a wait is not that of a request. */
function addGlobals(command: Command, own: readonly Flag[], hidden: boolean): void {
  const taken = new Set(own.map(optionOf).flatMap((option) => [option.long, option.short]))
  for (const flag of GLOBAL_FLAGS) {
    const option = optionOf(flag)
    if (taken.has(option.long) || (option.short !== undefined && taken.has(option.short))) continue
    command.addOption(hidden ? option.hideHelp() : option)
  }
}

function ownValues(command: Command, flags: readonly Flag[]): Record<string, unknown> {
  const values = command.opts()
  return Object.fromEntries(
    flags.map(optionOf).map((option) => [option.attributeName(), values[option.attributeName()]]),
  )
}

/** Nearest to the command wins; defaults of commander say nothing. */
function saidGlobals(command: Command, own: readonly Flag[]): Record<string, unknown> {
  const names = new Set(GLOBAL_FLAGS.map((flag) => optionOf(flag).attributeName()))
  const ownNames = new Set(own.map((flag) => optionOf(flag).attributeName()))
  const said: Record<string, unknown> = {}
  for (let each: Command | null = command; each !== null; each = each.parent) {
    for (const [name, value] of Object.entries(each.opts())) {
      const isSaid = names.has(name) && each.getOptionValueSource(name) === 'cli'
      if (isSaid && !(name in said) && !(each === command && ownNames.has(name))) said[name] = value
    }
  }
  return said
}

function helpTail(spec: CommandSpec): string {
  const exits = [...new Set([...EXITS_ALWAYS, ...(spec.exits ?? [])])].sort((a, b) => a - b)
  return [
    '',
    'Exit codes:',
    ...exits.map((exit) => `  ${String(exit).padStart(3)}  ${EXIT_MEANING[exit]}`),
    '',
    'Examples:',
    ...spec.examples.map((example) => `  ${PROGRAM} ${example}`),
    '',
    `Global flags: ${PROGRAM} --help`,
  ].join('\n')
}

const sentence = (text: string): string => `${text.charAt(0).toUpperCase()}${text.slice(1)}.`
