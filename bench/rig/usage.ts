/**
 * Processor time for each message, of everybody who took part. Beside the rates, because it hardly changes when a
 * neighbour takes half of the machine, and because it names who is to be made cheaper.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { processorTimeMs } from './process-figures.ts'

export interface Usage {
  readonly brokerMicros: number
  readonly postgresMicros: number
  readonly loadMicros: number
}

/** Starts counting; the result ends it and divides by the number of messages. NaN where the system does not tell. */
export function watchUsage(brokerPid: number, postgresPid: number): (messages: number) => Usage {
  const brokerMs = processorTimeMs(brokerPid)
  const postgresMs = childrenTimeMs(postgresPid)
  const load = process.cpuUsage()
  return (messages) => {
    const { user, system } = process.cpuUsage(load)
    return {
      brokerMicros: ((processorTimeMs(brokerPid) - brokerMs) * 1000) / messages,
      postgresMicros: ((childrenTimeMs(postgresPid) - postgresMs) * 1000) / messages,
      loadMicros: (user + system) / messages,
    }
  }
}

/** PostgreSQL's sessions and its WAL and background writers are children of the server's first process. */
function childrenTimeMs(pid: number): number {
  let sum = 0
  try {
    for (const entry of readdirSync('/proc')) {
      if (!/^\d+$/.test(entry)) continue
      const parent = parentOf(entry)
      if (parent === pid) sum += processorTimeMs(Number(entry))
    }
    return sum
  } catch {
    return Number.NaN
  }
}

function parentOf(pid: string): number {
  try {
    return Number(readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ').at(-1)!.split(' ')[1])
  } catch {
    return -1 // ended while we looked
  }
}
