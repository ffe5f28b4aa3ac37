/** What could stand where the cursor is. Pure: values that only a broker knows are named, not asked for. */
import type { Completes, Flag } from '../command/flag.ts'
import { GLOBAL_FLAGS } from '../command/globals.ts'
import { type Argument, type CommandSpec, isGroup, type Spec } from '../command/spec.ts'

export interface Plan {
  readonly words: readonly string[]
  /** To be looked up. */
  readonly completes: Completes | null
  /** Operands before the cursor: a partition's queue is one of them. */
  readonly operands: readonly string[]
  /** Flags with values before the cursor, by their long names. */
  readonly flags: Readonly<Record<string, string>>
}

/** `words`: everything behind the program's name; the last one is being written and may be empty. */
export function planCompletion(specs: readonly Spec[], words: readonly string[]): Plan {
  const current = words.at(-1) ?? ''
  let level: readonly Spec[] | null = specs
  let command: CommandSpec | null = null
  const operands: string[] = []
  const flags: Record<string, string> = {}
  let waiting: Flag | null = null
  for (const word of words.slice(0, -1)) {
    if (waiting !== null) {
      flags[longName(waiting)] = word
      waiting = null
    } else if (word.startsWith('-') && word !== '-') {
      const [name, value] = word.split('=', 2)
      const flag = flagsOf(command).find((each) => namesOf(each).includes(name!))
      if (flag !== undefined && value !== undefined) flags[longName(flag)] = value
      else if (flag !== undefined && takesValue(flag)) waiting = flag
    } else if (level !== null) {
      const found: Spec | undefined = level.find((each) => each.name === word || each.aliases?.includes(word))
      if (found === undefined) return { words: [], completes: null, operands, flags }
      level = isGroup(found) ? found.commands : null
      command = isGroup(found) ? null : found
    } else operands.push(word)
  }
  const told = { operands, flags }
  if (waiting !== null) return { ...valuesOf(waiting, current), ...told }
  if (current.startsWith('-')) {
    const [name, value] = current.split('=', 2)
    const flag = value === undefined ? undefined : flagsOf(command).find((each) => namesOf(each).includes(name!))
    if (flag !== undefined) {
      const values = valuesOf(flag, value!)
      return { ...values, words: values.words.map((each) => `${name}=${each}`), ...told }
    }
    return { words: starting(flagsOf(command).flatMap(namesOf), current), completes: null, ...told }
  }
  if (level !== null) {
    const names = level.filter((each) => !('hidden' in each && each.hidden)).map((each) => each.name)
    return { words: starting(names, current), completes: null, ...told }
  }
  const args = command?.args ?? []
  const arg: Argument | undefined = args[operands.length] ?? args.find((each) => each.name.includes('...'))
  return { words: starting(arg?.choices ?? [], current), completes: arg?.completes ?? null, ...told }
}

function flagsOf(command: CommandSpec | null): readonly Flag[] {
  return [...(command?.flags ?? []), ...GLOBAL_FLAGS]
}

export function namesOf(flag: Flag): string[] {
  return flag.flags.match(/(?<![\w-])--?[a-zA-Z][a-z-]*/g) ?? []
}

function longName(flag: Flag): string {
  return namesOf(flag).at(-1)!.replace(/^--/, '')
}

const takesValue = (flag: Flag): boolean => /[<[]/.test(flag.flags)

function valuesOf(flag: Flag, current: string): Pick<Plan, 'words' | 'completes'> {
  return { words: starting(flag.choices ?? [], current), completes: flag.completes ?? null }
}

export const starting = (words: readonly string[], with_: string): string[] =>
  words.filter((word) => word.startsWith(with_))
