/** `completion` prints the script for a shell; the hidden `__complete` answers it. */
import { EXIT } from '../command/exit-codes.ts'
import { arg, type CommandSpec, type Spec } from '../command/spec.ts'
import { planCompletion, starting } from '../completion/plan.ts'
import { SCRIPTS, SHELLS, type Shell } from '../completion/scripts.ts'

export const COMPLETION: CommandSpec = {
  name: 'completion',
  summary: 'print the completion script of a shell',
  args: [{ name: '<shell>', about: 'which shell', choices: SHELLS }],
  examples: ['completion bash > /etc/bash_completion.d/queenctl', 'completion fish'],
  async run(session, call) {
    await session.terminal.writeOut(SCRIPTS[call.operand(0) as Shell])
    return EXIT.done
  },
}

/** `specs` is a function: the tree this command is part of is not there yet when it is made. */
export function completeCommand(specs: () => readonly Spec[]): CommandSpec {
  return {
    name: '__complete',
    summary: 'answer a shell',
    hidden: true,
    passThrough: true,
    args: [arg('[words...]', 'the line up to the cursor')],
    examples: ['__complete -- queue li', '__complete -- pop or'],
    async run(session, call) {
      const words = call.operands(0)
      const plan = planCompletion(specs(), words)
      const current = words.at(-1) ?? ''
      const prefix =
        current.startsWith('-') && current.includes('=') ? current.slice(current.indexOf('=') + 1) : current
      let found: string[] = []
      try {
        const { lookUp } = await import('../completion/lookup.ts')
        found = starting(await lookUp(plan, prefix, session.env), prefix)
      } catch {
        // Nobody asked for an error here: the shell shows nothing, or files.
      }
      const flag = prefix === current ? '' : current.slice(0, current.indexOf('=') + 1)
      const lines = [...plan.words, ...found.map((name) => flag + name)].filter((line) => !line.includes('\n'))
      if (lines.length > 0) await session.terminal.writeOut(`${lines.join('\n')}\n`)
      return EXIT.done
    },
  }
}
