/**
 * Builds the package that is published: dist/ with ES modules, CommonJS and types for both, and a package.json of its
 * own. Inside the workspace nobody needs it: there the package's entry is its source.
 *
 * The compiler alone does it, file by file, so that what a debugger shows is what was written and a bundler can leave
 * out what is not used.
 */
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const here = (path: string) => fileURLToPath(new URL(`../${path}`, import.meta.url))
/** Where to: dist/ unless another directory is named. */
const dist = process.argv[2] ?? here('dist')

rmSync(dist, { recursive: true, force: true })
for (const [project, half] of [
  ['tsconfig.build.json', 'esm'],
  ['tsconfig.build-cjs.json', 'cjs'],
] as const) {
  const compiler = here('../../node_modules/typescript/bin/tsc')
  const flags = ['-p', here(project), '--outDir', join(dist, half)]
  const { status } = spawnSync(process.execPath, [compiler, ...flags], { stdio: 'inherit' })
  if (status !== 0) process.exit(status ?? 1)
}

// The compiler rewrites './x.ts' in code but leaves it in types, where only a compiler that forgives it finds the file.
for (const path of readdirSync(dist, { recursive: true, encoding: 'utf8' })) {
  if (!path.endsWith('.d.ts')) continue
  const types = readFileSync(`${dist}/${path}`, 'utf8')
  writeFileSync(`${dist}/${path}`, types.replaceAll(/(['"]\.{1,2}\/[^'"]+)\.ts(['"])/g, '$1.js$2'))
}

const source = JSON.parse(readFileSync(here('package.json'), 'utf8')) as Record<string, unknown>
const { name, version, description, license, type, sideEffects, engines } = source
const entry = (directory: string) => ({
  types: `./${directory}/index.d.ts`,
  default: `./${directory}/index.js`,
})
writeJson('package.json', {
  name,
  version,
  description,
  license,
  type,
  sideEffects,
  engines,
  main: './cjs/index.js',
  types: './cjs/index.d.ts',
  exports: { '.': { import: entry('esm'), require: entry('cjs') }, './package.json': './package.json' },
})
// Makes Node and TypeScript read this half as CommonJS.
writeJson('cjs/package.json', { type: 'commonjs' })
cpSync(here('README.md'), `${dist}/README.md`)
const licence = here('../../LICENSE')
if (existsSync(licence)) cpSync(licence, `${dist}/LICENSE`)

function writeJson(path: string, value: unknown): void {
  mkdirSync(dist, { recursive: true })
  writeFileSync(`${dist}/${path}`, `${JSON.stringify(value, null, 2)}\n`)
}
