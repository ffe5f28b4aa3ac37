/** Where and of what the figures are: without it they cannot be compared with any others. */
import { execFileSync } from 'node:child_process'
import { cpus, release, totalmem } from 'node:os'
import { PROJECT_DIR } from '../../scripts/installation.mjs'

export interface Machine {
  /** For file names. */
  readonly name: string
  readonly processor: string
  readonly cores: number
  readonly memoryBytes: number
  readonly system: string
  readonly node: string
}

export function machine(): Machine {
  const processor = cpus()[0]?.model.trim() || process.arch
  const cores = cpus().length
  const name = `${cores}x-${processor}`
    .toLowerCase()
    .replace(/\(r\)|\(tm\)|@.*$/g, '')
    .replace(/[^a-z0-9]+/g, '-')
  return {
    name: name.replace(/-$/, ''),
    processor,
    cores,
    memoryBytes: totalmem(),
    system: `${process.platform} ${release()}`,
    node: process.version,
  }
}

/** Short hash, with "-changed" when the tree differs from it; "unknown" outside a repository. */
export function commit(): string {
  const git = (...args: string[]): string =>
    execFileSync('git', args, { cwd: PROJECT_DIR, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()
  try {
    const changed = git('status', '--porcelain', '--', 'packages', 'bench/load', 'bench/rig', 'bench/rows') !== ''
    return git('rev-parse', '--short', 'HEAD') + (changed ? '-changed' : '')
  } catch {
    return 'unknown'
  }
}
