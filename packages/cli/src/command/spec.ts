/** What a command is: data and one function. The tree, help and completion are all made from it. */
import type { Session } from '../session.ts'
import type { Call } from './call.ts'
import type { Completes, Flag } from './flag.ts'

export interface Argument {
  /** As commander writes it: `<queue>`, `[queue]`, `<id...>`. */
  readonly name: string
  readonly about: string
  readonly completes?: Completes
  readonly choices?: readonly string[]
}

export interface CommandSpec {
  readonly name: string
  readonly aliases?: readonly string[]
  readonly summary: string
  /** More than the summary, for --help. */
  readonly about?: string
  readonly args?: readonly Argument[]
  readonly flags?: readonly Flag[]
  /** Without the program's name; at least two. */
  readonly examples: readonly [string, string, ...string[]]
  /** Exit codes beside 0, 1, 2, 3 and 130. */
  readonly exits?: readonly number[]
  /** Everything behind the first operand belongs to another command. */
  readonly passThrough?: boolean
  /** Not in help. */
  readonly hidden?: boolean
  run(session: Session, call: Call): Promise<number | undefined>
}

export interface GroupSpec {
  readonly name: string
  readonly aliases?: readonly string[]
  readonly summary: string
  readonly about?: string
  readonly commands: readonly Spec[]
}

export type Spec = CommandSpec | GroupSpec

export function isGroup(spec: Spec): spec is GroupSpec {
  return 'commands' in spec
}

/** An argument, briefly. */
export function arg(name: string, about: string, completes?: Completes): Argument {
  return completes === undefined ? { name, about } : { name, about, completes }
}
