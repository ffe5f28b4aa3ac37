/** The tree as a whole: every command explains itself, its examples are right, completion finds its way. */
import { expect, test } from 'vitest'
import { GLOBAL_FLAGS } from '../../src/command/globals.ts'
import { type CommandSpec, isGroup, type Spec } from '../../src/command/spec.ts'
import { createTree } from '../../src/command/tree.ts'
import { COMMANDS } from '../../src/commands/all.ts'
import { namesOf, planCompletion } from '../../src/completion/plan.ts'

function leaves(specs: readonly Spec[], path: readonly string[] = []): [string, CommandSpec][] {
  return specs.flatMap((spec) => {
    const here = [...path, spec.name]
    return isGroup(spec) ? leaves(spec.commands, here) : [[here.join(' '), spec] as [string, CommandSpec]]
  })
}

/** As a shell splits the examples, which hold no more than quotes. */
const split = (line: string): string[] =>
  [...line.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map((match) => match[1] ?? match[2] ?? match[3]!)

const parse = async (words: readonly string[]) => {
  let invoked: { path: string; said: Readonly<Record<string, unknown>> } | undefined
  const silent = () => {}
  const tree = createTree(COMMANDS, {
    version: '0',
    writeOut: silent,
    writeError: silent,
    onInvoke: async (invocation) => {
      invoked = invocation
    },
  })
  await tree.parseAsync([...words], { from: 'user' })
  return invoked
}

test.each(leaves(COMMANDS))(
  '%s: its examples are commands of it, its flags hide no global one by accident',
  async (path, spec) => {
    for (const example of spec.examples) {
      const own = example.split(/ (?:\||>|<|&&) /)[0]!
      expect((await parse(split(own)))?.path, example).toBe(path)
    }
    const meant = new Set(['--timeout', '--url', '--server', '--token', '--insecure', '--verbose'])
    const names = (spec.flags ?? []).flatMap(namesOf)
    const hidden = GLOBAL_FLAGS.flatMap(namesOf).filter((name) => names.includes(name) && !meant.has(name))
    expect(hidden).toEqual([])
    expect(new Set(names).size).toBe(names.length)
  },
)

test('the help of a command names what may be given, and leaves the breaking of lines to the terminal', () => {
  const helpOf = (path: string) => {
    let help = ''
    const silent = { onInvoke: async () => {}, writeError: () => {} }
    const tree = createTree(COMMANDS, { ...silent, version: '0', writeOut: (text) => (help += text) })
    expect(() => tree.parse([...path.split(' '), '--help'], { from: 'user' })).toThrow()
    return help
  }
  const words = (text: string) => text.replaceAll(/\s+/g, ' ')
  expect(words(helpOf('maintenance status'))).toContain('another phase: normal, maintenance, draining')
  expect(words(helpOf('top'))).toMatch(/sort by: (\w+, )+\w+ \(default: pending\)/)
  for (const [path, { about }] of leaves(COMMANDS)) {
    // A sentence that goes on in the next line would be broken twice on a narrow terminal.
    for (const line of about?.split('\n') ?? []) expect(line, path).toMatch(/^$|[.:]$| {2}/)
  }
})

test('global flags stand where they like, the nearest wins; a wait has its own --timeout', async () => {
  expect((await parse(['--json', 'queue', 'list', '-q']))?.said).toEqual({ json: true, quiet: true })
  expect((await parse(['-o', 'wide', 'queue', 'list', '-o', 'yaml']))?.said).toEqual({ output: 'yaml' })
  expect((await parse(['--timeout', '9s', 'maintenance', 'on', '--timeout', '1m']))?.said).toEqual({ timeout: 9_000 })
  expect((await parse(['queue', 'list', '--no-headers', '--no-color']))?.said).toEqual({ headers: false, color: false })
})

test('what stands behind -- belongs to the command that is run', async () => {
  const invoked = (await parse(['maintenance', 'run', '--reuse', '--', 'psql', '-v', 'X=1', '--json'])) as unknown as {
    call: { operands(index: number): string[]; on(flag: string): boolean }
    said: object
  }
  expect(invoked.call.operands(0)).toEqual(['psql', '-v', 'X=1', '--json'])
  expect([invoked.call.on('reuse'), invoked.said]).toEqual([true, {}])
})

test('completion', () => {
  const plan = (line: string) => planCompletion(COMMANDS, line.split(' '))
  expect(plan('mai').words).toEqual(['maintenance'])
  expect(plan('maint o').words).toEqual(['on', 'off'])
  expect(plan('pop --from-mode ').words).toEqual(['all', 'new'])
  expect(plan('pop --from-mode=n').words).toEqual(['--from-mode=new'])
  expect(plan('queue list -o js').words).toEqual(['json', 'jsonpath='])
  expect(plan('--url http://x pop or')).toMatchObject({ completes: 'queue', flags: { url: 'http://x' } })
  expect(plan('partition describe orders ')).toMatchObject({ completes: 'partition', operands: ['orders'] })
  expect(plan('pop --part').words).toEqual(['--partition'])
  expect(plan('completion f').words).toEqual(['fish'])
  expect(plan('nope ').words).toEqual([])
  expect(plan('').words).not.toContain('__complete')
})
