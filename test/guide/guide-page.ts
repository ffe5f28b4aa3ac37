/**
 * A page of the guide as something that runs: its `ts` blocks in their order are one program, its `sh` blocks one shell
 * session after it. What the page says is printed (`// → text`) is what must be printed, line by line.
 *
 * Blocks in other languages (`js` of other systems, `text`) are not run.
 */
import { readFileSync } from 'node:fs'

const ADDRESS = 'http://localhost:6632'
const BLOCK = /^```(\w+)\n([\s\S]*?)^```$/gm
const PRINTED = /\/\/ → (.*)$/gm

export interface GuidePage {
  /** null = the page has none. */
  readonly program: string | null
  readonly printed: readonly string[]
  readonly shell: string | null
}

export function readGuidePage(file: string, url: string): GuidePage {
  const blocks = [...readFileSync(file, 'utf8').matchAll(BLOCK)]
  const of = (language: string) => blocks.filter((block) => block[1] === language).map((block) => block[2]!)
  const source = of('ts').join('\n')
  const shell = of('sh').join('\n').replaceAll(ADDRESS, url)
  return {
    program: source === '' ? null : source.replaceAll(ADDRESS, url),
    printed: [...source.matchAll(PRINTED)].map((match) => match[1]!),
    shell: shell === '' ? null : shell,
  }
}
