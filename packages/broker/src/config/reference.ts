/** The table of variables as documentation: `--help` and docs/reference/configuration.md print the same facts. */
import { allowed } from './read-value.ts'
import { VARIABLES, type Variable } from './variables.ts'

export function referenceTable(): string {
  const rows = entries().map(([name, variable]) => {
    const fallback = variable.fallbackText ?? (variable.fallback === undefined ? 'not set' : `\`${variable.fallback}\``)
    return `| \`${name}\` | ${fallback} | ${allowed(variable.kind)} | ${variable.meaning} |`
  })
  return ['| Variable | Default | Allowed | Meaning |', '|---|---|---|---|', ...rows].join('\n')
}

export function helpText(): string {
  const width = Math.max(...entries().map(([name]) => name.length))
  return entries()
    .map(([name, variable]) => {
      const fallback = variable.fallbackText ?? variable.fallback
      const tail = fallback === undefined ? '' : ` [${fallback}]`
      return `  ${name.padEnd(width)}  ${variable.meaning}${tail}`.replaceAll('`', '')
    })
    .join('\n')
}

function entries(): [string, Variable][] {
  return Object.entries(VARIABLES)
}
