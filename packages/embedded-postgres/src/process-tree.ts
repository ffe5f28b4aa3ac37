/**
 * Signals to a server and all its children. Every backend leads its own process group, so a group signal reaches none
 * of them: the tree is read from the system's process table.
 */
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'

/** The process itself first: stopped or killed first, it cannot start new children while we walk. */
export function processTree(root: number): number[] {
  const childrenOf = new Map<number, number[]>()
  for (const [pid, parent] of processTable()) childrenOf.set(parent, [...(childrenOf.get(parent) ?? []), pid])
  const tree = [root]
  for (let i = 0; i < tree.length; i++) tree.push(...(childrenOf.get(tree[i]!) ?? []))
  return tree
}

export function signalTree(root: number, signal: 'SIGSTOP' | 'SIGCONT' | 'SIGKILL'): number[] {
  // A killed parent's children are adopted by init at once: the tree has to be known before.
  if (signal !== 'SIGCONT') signalOne(root, 'SIGSTOP')
  const tree = processTree(root)
  for (const pid of tree) signalOne(pid, signal)
  return tree
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
  return stateOf(pid) !== 'Z'
}

/** A dead child whose parent has not asked for its end still has a table entry. */
function stateOf(pid: number): string | undefined {
  if (process.platform !== 'linux') return undefined
  try {
    return afterName(readFileSync(`/proc/${pid}/stat`, 'utf8'))[0]
  } catch {
    return 'Z'
  }
}

/** Tells a process from a later one with the same number; undefined where there is no /proc. */
export function startTime(pid: number): string | undefined {
  try {
    return afterName(readFileSync(`/proc/${pid}/stat`, 'utf8'))[19]
  } catch {
    return undefined
  }
}

export function signalOne(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

function processTable(): [pid: number, parent: number][] {
  if (process.platform !== 'linux') {
    const lines = execFileSync('ps', ['-axo', 'pid=,ppid='], { encoding: 'utf8' }).trim().split('\n')
    return lines.map((line) => line.trim().split(/\s+/).map(Number) as [number, number])
  }
  const table: [number, number][] = []
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue
    try {
      table.push([Number(entry), Number(afterName(readFileSync(`/proc/${entry}/stat`, 'utf8'))[1])])
    } catch {
      // It ended while we were reading.
    }
  }
  return table
}

/** The fields behind the process name, which may itself contain spaces and brackets. */
function afterName(stat: string): string[] {
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
}
