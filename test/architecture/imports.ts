/** Reads which file imports which. Text, not types: it must also see imports that do not compile. */
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, posix, relative, sep } from 'node:path'

export interface Import {
  /** Path from the project, with "/": `packages/broker/src/engine/push/push.ts`. */
  readonly from: string
  /** The same for a relative import; otherwise the package name as written. */
  readonly to: string
  readonly isPackage: boolean
  /** Gone at run time. */
  readonly typeOnly: boolean
}

export type Sources = ReadonlyMap<string, string>

const STATEMENT = /(?:^|[\n;])\s*(import|export)\s+(type\s)?[^'"`;]*?from\s*['"]([^'"]+)['"]/g
const BARE = /(?:^|[\n;])\s*import\s*['"]([^'"]+)['"]/g
const DYNAMIC = /\bimport\(\s*['"]([^'"]+)['"]/g
const COMMENTS = /\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm

export function readSources(projectDir: string): Sources {
  const sources = new Map<string, string>()
  for (const name of readdirSync(join(projectDir, 'packages'))) {
    const root = join(projectDir, 'packages', name, 'src')
    for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
      const path = join(entry.parentPath, entry.name)
      if (entry.isFile() && /\.(ts|js|vue)$/.test(entry.name) && !path.includes('node_modules')) {
        sources.set(relative(projectDir, path).split(sep).join('/'), readFileSync(path, 'utf8'))
      }
    }
  }
  return sources
}

export function importsOf(sources: Sources): Import[] {
  const imports: Import[] = []
  for (const [from, source] of sources) {
    const code = source.replace(COMMENTS, '')
    const add = (target: string, typeOnly: boolean) => {
      if (target.startsWith('node:')) return
      const isPackage = !target.startsWith('.')
      imports.push({ from, to: isPackage ? target : posix.join(dirname(from), target), isPackage, typeOnly })
    }
    for (const match of code.matchAll(STATEMENT)) add(match[3]!, match[2] !== undefined)
    for (const match of code.matchAll(BARE)) add(match[1]!, false)
    for (const match of code.matchAll(DYNAMIC)) add(match[1]!, false)
  }
  return imports
}
