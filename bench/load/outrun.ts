/**
 * Runs outrunning-producer.ts against a broker that is held back: frozen half of the time, so that no machine is slow
 * enough for the broker to keep up.
 */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { promisify } from 'node:util'
import type { Outrun } from './outrunning-producer.ts'

const PROGRAM = join(import.meta.dirname, 'outrunning-producer.ts')
const FROZEN_MS = 400
const RUNNING_MS = 400

export async function runOutrun(broker: { url: string; pid: number }, name: string, seconds: number): Promise<Outrun> {
  const running = promisify(execFile)(process.execPath, [PROGRAM, broker.url, name, String(seconds)])
  let ended = false
  const holdBack = async (): Promise<void> => {
    while (!ended) {
      process.kill(broker.pid, 'SIGSTOP')
      await pause(FROZEN_MS)
      process.kill(broker.pid, 'SIGCONT')
      await pause(RUNNING_MS)
    }
  }
  const held = holdBack()
  try {
    const { stdout } = await running
    return JSON.parse(stdout) as Outrun
  } finally {
    ended = true
    await held
  }
}
