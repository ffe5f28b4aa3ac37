/** The little of JSONPath that scripts need: `.a.b`, `[0]`, `[-1]`, `[*]`, `['odd key']`, braces around it all. Pure. */
import { CliError } from '../command/failure.ts'

type Step = { readonly key: string } | { readonly index: number } | 'all'

const STEP = /\.?\[(-?\d+)\]|\.?\[\*\]|\.\*|\.?\['((?:[^'\\]|\\.)*)'\]|\.?\["((?:[^"\\]|\\.)*)"\]|\.([^.[\]{}]+)/y

export function parseJsonPath(text: string): readonly Step[] {
  const braced = /^\{(.*)\}$/.exec(text.trim())?.[1] ?? text.trim()
  const path = braced.replace(/^\$/, '')
  const steps: Step[] = []
  if (path === '' || path === '.') return steps
  STEP.lastIndex = 0
  const source = path.startsWith('.') || path.startsWith('[') ? path : `.${path}`
  while (STEP.lastIndex < source.length) {
    const match = STEP.exec(source)
    if (match === null) throw new CliError(`'${text}' is no JSON path; write it like .a[0].b`)
    const [, index, single, double, name] = match
    if (index !== undefined) steps.push({ index: Number(index) })
    else if (single !== undefined || double !== undefined)
      steps.push({ key: (single ?? double)!.replace(/\\(.)/g, '$1') })
    else if (name !== undefined) steps.push({ key: name })
    else steps.push('all')
  }
  return steps
}

export function evaluateJsonPath(steps: readonly Step[], value: unknown): unknown[] {
  let found: unknown[] = [value]
  for (const step of steps) found = found.flatMap((each) => follow(step, each))
  return found
}

function follow(step: Step, value: unknown): unknown[] {
  if (typeof value !== 'object' || value === null) return []
  if (step === 'all') return Object.values(value)
  if ('index' in step) {
    const item = Array.isArray(value) ? value.at(step.index) : undefined
    return item === undefined ? [] : [item]
  }
  return Object.hasOwn(value, step.key) ? [(value as Record<string, unknown>)[step.key]] : []
}
