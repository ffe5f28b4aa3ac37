/** Holds docs/reference/cli.md equal to the command tree. `UPDATE_REFERENCE=1` renews it. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { isGroup, type Spec } from '../../packages/cli/src/command/spec.ts'
import { SECTIONS } from '../../packages/cli/src/commands/all.ts'
import { cliReference } from './cli-reference.ts'

const PAGE = new URL('../../docs/reference/cli.md', import.meta.url)

function paths(spec: Spec, parents: readonly string[] = []): string[] {
  if ('hidden' in spec && spec.hidden) return []
  const path = [...parents, spec.name]
  return [path.join(' '), ...(isGroup(spec) ? spec.commands.flatMap((each) => paths(each, path)) : [])]
}

test('the reference of queenctl is what its command tree says', () => {
  const generated = cliReference(SECTIONS)
  if (process.env.UPDATE_REFERENCE === '1') writeFileSync(PAGE, generated)
  expect(existsSync(PAGE) && readFileSync(PAGE, 'utf8')).toBe(generated)
  const headings = [...generated.matchAll(/^####? (.+)$/gm)].map((match) => match[1])
  expect(headings).toEqual(SECTIONS.flatMap((section) => section.commands.flatMap((each) => paths(each))))
})
