/** What another process uses, as the system sees it: memory and processor time. Exact on Linux, by `ps` elsewhere. */
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'

export interface ProcessFigures {
  readonly rssBytes: number
  /** Largest since resetPeak(); where the system does not keep it, the present value. */
  readonly rssPeakBytes: number
}

const KIB = 1024
/** Linux counts processor time in hundredths of a second on every platform that Node runs on. */
const TICK_MS = 10

export function processFigures(pid: number): ProcessFigures {
  if (!existsSync('/proc/self/status')) {
    const rssBytes = Number(execFileSync('ps', ['-o', 'rss=', '-p', String(pid)], { encoding: 'utf8' })) * KIB
    return { rssBytes, rssPeakBytes: rssBytes }
  }
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const field = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) * KIB
  return { rssBytes: field('VmRSS'), rssPeakBytes: field('VmHWM') }
}

/** Starts the peak anew from the present value. */
export function resetPeak(pid: number): void {
  try {
    writeFileSync(`/proc/${pid}/clear_refs`, '5')
  } catch {
    // Not Linux, or not allowed: then the peak is that of the process's whole life, which is never too small.
  }
}

/** Processor time so far, ms; NaN where it cannot be told. */
export function processorTimeMs(pid: number): number {
  try {
    // After the name in parentheses, which may hold anything: field 14 and 15 of proc(5).
    const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ').at(-1)!.split(' ')
    return (Number(fields[11]) + Number(fields[12])) * TICK_MS
  } catch {
    return Number.NaN
  }
}
