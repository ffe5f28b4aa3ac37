/** A clone of this project as a stranger would have it, elsewhere on the disk. Packages are linked, not installed. */
import { execFileSync } from 'node:child_process'
import { chownSync, cpSync, lchownSync, mkdirSync, mkdtempSync, readdirSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const PROJECT_DIR = fileURLToPath(new URL('../..', import.meta.url))

export interface User {
  readonly uid: number
  readonly gid: number
}

const LEFT_OUT = new Set(['node_modules', '.git', '.queen', 'docs', 'bench', 'test', 'dist', '.build'])

/** In a directory that only its owner can enter, with a space in its name. */
export function makeClone(owner?: User): { parent: string; dir: string } {
  const parent = mkdtempSync(join(tmpdir(), 'queen launch '))
  const dir = join(parent, 'my clone')
  cpSync(PROJECT_DIR, dir, { recursive: true, filter: (path) => !LEFT_OUT.has(basename(path)) || path === PROJECT_DIR })
  const modules = join(PROJECT_DIR, 'node_modules')
  try {
    execFileSync('cp', ['-al', modules, join(dir, 'node_modules')], { stdio: 'ignore' })
  } catch {
    execFileSync('cp', ['-a', modules, join(dir, 'node_modules')]) // another file system
  }
  mkdirSync(join(parent, 'home'))
  if (owner !== undefined) {
    // Not the linked packages: they are the project's own files.
    chownSync(parent, owner.uid, owner.gid)
    for (const part of ['home', 'my clone']) giveTo(join(parent, part), owner)
  }
  return { parent, dir }
}

function giveTo(path: string, owner: User): void {
  lchownSync(path, owner.uid, owner.gid)
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    if (entry.name === 'node_modules') continue
    if (entry.isDirectory()) giveTo(join(path, entry.name), owner)
    else lchownSync(join(path, entry.name), owner.uid, owner.gid)
  }
}

/** Somebody who is not root, for tests that root runs. */
export function ordinaryUser(): User | undefined {
  if (process.getuid?.() !== 0) return undefined
  const line = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .find((each) => each.startsWith('nobody:'))
  const [, , uid, gid] = line!.split(':')
  return { uid: Number(uid), gid: Number(gid) }
}
