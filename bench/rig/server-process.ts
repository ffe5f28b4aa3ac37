/** A server in a process of its own: started, its URL read from what it prints, ended by signal and waited for. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'

export interface ServerProcess {
  readonly url: string
  readonly pid: number
  stop(): Promise<void>
}

export interface ServerCommand {
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
}

const START_TIMEOUT_MS = 60_000
/** A broker gives itself 25 s to stop. */
const STOP_TIMEOUT_MS = 30_000
/** Of what the server prints, kept for the case that it ends too soon. */
const OUTPUT_CHARS_MAX = 4_000

export async function startServerProcess({ args, env }: ServerCommand): Promise<ServerProcess> {
  const child = spawn(process.execPath, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
  try {
    const url = await urlOf(child)
    return { url, pid: child.pid!, stop: () => stop(child) }
  } catch (error) {
    await stop(child)
    throw error
  }
}

function urlOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let output = ''
    const timer = setTimeout(
      () => reject(new Error(`no URL within ${START_TIMEOUT_MS / 1000} s: ${output}`)),
      START_TIMEOUT_MS,
    )
    const read = (chunk: Buffer): void => {
      output = (output + chunk.toString()).slice(-OUTPUT_CHARS_MAX)
      const url = /http:\/\/[\d.]+:\d+/.exec(output)?.[0]
      if (url === undefined) return
      clearTimeout(timer)
      resolve(url)
    }
    child.stdout!.on('data', read)
    // What it warns of is worth seeing beside the figures.
    child.stderr!.on('data', (chunk: Buffer) => process.stderr.write(chunk))
    child.on('error', reject)
    child.on('exit', (code, signal) => {
      clearTimeout(timer)
      reject(new Error(`the server ended (${signal ?? code}): ${output}`))
    })
  })
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.kill('SIGTERM')
  const late = new AbortController()
  void pause(STOP_TIMEOUT_MS, undefined, { signal: late.signal }).then(
    () => child.kill('SIGKILL'),
    () => {},
  )
  await exited
  late.abort()
}
