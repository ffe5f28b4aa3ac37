import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { readConfig } from '../../src/config/read-config.ts'
import { helpText, referenceTable } from '../../src/config/reference.ts'
import { VARIABLES } from '../../src/config/variables.ts'

const page = readFileSync(new URL('../../../../docs/reference/configuration.md', import.meta.url), 'utf8')

describe('the documentation of variables', () => {
  test('holds exactly the table of the code', () => {
    const table = page.split('\n').filter((line) => line.startsWith('|'))
    expect(table).toEqual(referenceTable().split('\n'))
  })

  test('names no variable that does not exist', () => {
    const named = page.matchAll(/`([A-Z][A-Z0-9]*_[A-Z0-9_]+)[`=]/g)
    const errors = new Set(['BUFFER_FULL']) // codes of the API
    expect(
      [...named].map((match) => match[1]!).filter((name) => !Object.hasOwn(VARIABLES, name) && !errors.has(name)),
    ).toEqual([])
  })

  test('every variable is read, and no other', () => {
    const asked = new Set<string>()
    const env = new Proxy({ PG_HOST: 'db' } as Record<string, string>, {
      get: (target, name) => {
        asked.add(String(name))
        return target[String(name)]
      },
    })
    const around = { workingDir: '/', projectDir: '/', hostname: 'box' }
    readConfig(env, around)
    expect([...asked].sort()).toEqual(Object.keys(VARIABLES).sort())
  })

  test('--help lists every variable', () => {
    for (const name of Object.keys(VARIABLES)) expect(helpText()).toContain(`  ${name} `)
  })
})
