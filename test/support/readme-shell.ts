/**
 * Runs the commands of README.md as a stranger would paste them: in bash, with curl, against the broker that runs.
 * The text is the README's own; only the address and the placeholders in angle brackets are filled in.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'

const README = fileURLToPath(new URL('../../README.md', import.meta.url))
const DOCS = new URL('../../docs/', import.meta.url)
const CURL = fileURLToPath(new URL('curl.mjs', import.meta.url))
const PSQL = fileURLToPath(new URL('psql.mjs', import.meta.url))
const ADDRESS = 'http://127.0.0.1:6632'

/** The shell blocks under a heading of another page, each as one piece. */
export function shellBlocks(page: string, heading: string): string[] {
  const text = readFileSync(fileURLToPath(new URL(page, DOCS)), 'utf8')
  const section = text.split(/^#{2,3} /m).find((each) => each.startsWith(`${heading}\n`)) ?? ''
  const blocks = [...section.matchAll(/^( *)```sh\n([\s\S]*?)^ *```/gm)].map(([, indent, block]) =>
    block!.replaceAll(new RegExp(`^${indent}`, 'gm'), ''),
  )
  if (blocks.length === 0) throw new Error(`${page} has no shell block under "${heading}"`)
  return blocks
}

/** The shell block under a heading, cut in pieces at its comments; each piece begins with its comment. */
export function readmeSteps(heading: string): string[] {
  const readme = readFileSync(README, 'utf8')
  const section = readme.split(/^## /m).find((each) => each.startsWith(`${heading}\n`))
  const block = /```sh\n([\s\S]*?)```/.exec(section ?? '')?.[1]
  if (block === undefined) throw new Error(`README.md has no shell block under "${heading}"`)
  return block.split(/^(?=# )/m)
}

export interface Shell {
  /** Runs a piece; what each curl answered, parsed. Rejects when a command fails. */
  run(piece: string): Promise<unknown[]>
}

export function openShell(url: string, databaseUrl: string): Shell {
  const preamble = [
    'set -euo pipefail',
    `Q=${url}/api/v1`,
    // Every answer on a line of its own; an HTTP error fails the piece.
    'if command -v curl > /dev/null; then curl() { command curl --fail-with-body "$@"; echo; }',
    `else curl() { "${process.execPath}" "${CURL}" "$@"; echo; }; fi`,
    // The same client everywhere, whether or not PostgreSQL's own is installed.
    `psql() { "${process.execPath}" "${PSQL}" "$@" >&2; }`,
  ].join('\n')
  return {
    async run(piece) {
      const script = `${preamble}\n${piece.replaceAll(ADDRESS, url)}`
      const child = spawn('bash', ['-c', script], {
        env: { PATH: process.env.PATH, DATABASE_URL: databaseUrl },
        stdio: ['ignore', 'pipe', 'pipe'],
      })
      const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
      if (code !== 0) throw new Error(`the shell ended with ${code}:\n${piece}\n${stdout}\n${stderr}`)
      return stdout
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as unknown)
    },
  }
}
