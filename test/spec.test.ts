/** Holds docs/SPEC.md equal to the tests: which guarantee is shown where, and that none is shown nowhere. */
import { globSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { MAINTENANCE_TABLE } from '../packages/broker/src/engine/maintenance/maintenance-machine.ts'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const SPEC = join(ROOT, 'docs/SPEC.md')
const GUARANTEES = Array.from({ length: 11 }, (_, index) => `G${index + 1}`)
const TITLE = /\b(?:it|test|describe)(?:\.\w+(?:\([^)]*\))?)*\(\s*(['"`])((?:\\.|(?!\1)[\s\S])*)\1/g

/** Guarantee → test files whose titles name it. */
export function guaranteesIn(files: ReadonlyMap<string, string>): Map<string, string[]> {
  const found = new Map<string, string[]>(GUARANTEES.map((guarantee) => [guarantee, []]))
  for (const [file, source] of [...files].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const titles = [...source.matchAll(TITLE)].map((match) => match[2]!).join('\n')
    const named = new Set(titles.match(/\bG\d+\b/g) ?? [])
    for (const guarantee of named) found.get(guarantee)?.push(file)
  }
  return found
}

function testFiles(): Map<string, string> {
  const paths = globSync(['packages/*/test/**/*.test.ts', 'test/**/*.test.ts'], { cwd: ROOT })
  return new Map(
    paths
      .filter((path) => path !== 'test/spec.test.ts')
      .map((path) => [path.replaceAll('\\', '/'), readFileSync(join(ROOT, path), 'utf8')]),
  )
}

function listOf(found: Map<string, string[]>): string {
  return GUARANTEES.map(
    (guarantee) =>
      `- **${guarantee}**: ${found
        .get(guarantee)!
        .map((file) => `\`${file}\``)
        .join(', ')}`,
  ).join('\n')
}

describe('the specification', () => {
  it('finds a guarantee in a title, and only there', () => {
    const found = guaranteesIn(new Map([['a.test.ts', "it('keeps it (G3)', () => {})\n// G4 in a comment"]]))
    expect(found.get('G3')).toEqual(['a.test.ts'])
    expect(found.get('G4')).toEqual([])
  })

  it('lists exactly the tests that name a guarantee', () => {
    const found = guaranteesIn(testFiles())
    const block = `<!-- tests:begin -->\n${listOf(found)}\n<!-- tests:end -->`
    const spec = readFileSync(SPEC, 'utf8')
    const renewed = spec.replace(/<!-- tests:begin -->[\s\S]*<!-- tests:end -->/, () => block)
    if (process.env.UPDATE_SPEC === '1') writeFileSync(SPEC, renewed)
    expect(readFileSync(SPEC, 'utf8')).toBe(renewed)
  })

  it('has a test for every guarantee', () => {
    const found = guaranteesIn(testFiles())
    expect(GUARANTEES.filter((guarantee) => found.get(guarantee)!.length === 0)).toEqual([])
  })

  it('shows the table of states as the machine has it', () => {
    const spec = readFileSync(SPEC, 'utf8')
    for (const [state, row] of Object.entries(MAINTENANCE_TABLE)) {
      expect(spec).toContain(`| ${state} | ${Object.values(row).join(' | ')} |`)
    }
  })
})
