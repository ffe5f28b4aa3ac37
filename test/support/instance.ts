/**
 * A broker instance as a real process: started, killed, frozen and restarted from outside, as an operating system would.
 *
 * With `crashPoints` it runs crashing-broker.ts instead of main.ts: the same broker over a disk and a database that
 * kill the process at a point that the test names.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Api } from './api.ts'
import type { CrashPoint } from './crash-point.ts'
import { atEnd, temporaryDirectory } from './leftovers.ts'

export interface InstanceOptions {
  readonly databaseUrl: string
  /** Default: a directory of its own. */
  readonly bufferDir?: string
  readonly env?: Readonly<Record<string, string>>
  /** The process can be told, also later, to die at a point. */
  readonly crashPoints?: boolean
  /** Dies at this point, armed from the first instruction on. */
  readonly crashAt?: CrashPoint
  /** Another broker than these two; it is told things by tell(). */
  readonly script?: string
  /** How many files the process may have open. */
  readonly openFilesMax?: number
}

const MAIN = fileURLToPath(new URL('../../packages/broker/src/main.ts', import.meta.url))
const CRASHING = fileURLToPath(new URL('crashing-broker.ts', import.meta.url))
const URL_PRINTED = /API and dashboard\s+(http:\/\/\S+)/

export class Instance {
  readonly api: Api = new Api(() => this.url)
  readonly bufferDir: string
  readonly #options: InstanceOptions
  #child!: ChildProcess
  #url = ''
  #output = ''
  #frozen = false

  constructor(options: InstanceOptions) {
    this.#options = options
    this.bufferDir = options.bufferDir ?? join(temporaryDirectory(), 'buffer')
  }

  get url(): string {
    return this.#url
  }

  get pid(): number {
    return this.#child.pid!
  }

  /** Everything the current process and its predecessors printed. */
  get output(): string {
    return this.#output
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null
  }

  /** Resolves with the signal or exit code that ended the process. */
  get ended(): Promise<NodeJS.Signals | number> {
    const child = this.#child
    const outcome = (): NodeJS.Signals | number | null => child.signalCode ?? child.exitCode
    const known = outcome()
    return known === null ? once(child, 'exit').then(() => outcome()!) : Promise.resolve(known)
  }

  /** Resolves when it listens. `env` is added to that of the options for this run. */
  async start(env: Readonly<Record<string, string>> = {}, crashAt?: CrashPoint): Promise<this> {
    const crashes = this.#options.crashPoints === true || crashAt !== undefined
    const { script, openFilesMax } = this.#options
    const broker = script ?? (crashes ? CRASHING : MAIN)
    const [command, ...parameters] =
      openFilesMax === undefined
        ? [process.execPath, broker]
        : ['/bin/sh', '-c', `ulimit -n ${openFilesMax}; exec "$0" "$1"`, process.execPath, broker]
    const child = spawn(command!, parameters, {
      env: {
        PATH: process.env.PATH,
        DATABASE_URL: this.#options.databaseUrl,
        FILE_BUFFER_DIR: this.bufferDir,
        QUEEN_DATA_DIR: this.bufferDir,
        PORT: '0',
        LOG_LEVEL: 'info',
        ...this.#options.env,
        ...env,
        ...(crashAt === undefined ? {} : { QUEEN_TEST_CRASH_AT: crashAt }),
      },
      stdio: ['ignore', 'pipe', 'pipe', ...(crashes || script !== undefined ? (['ipc'] as const) : [])],
    })
    this.#child = child
    this.#frozen = false
    let own = ''
    const url = new Promise<string>((resolve, reject) => {
      const read = (text: string) => {
        own += text
        this.#output += text
        const printed = URL_PRINTED.exec(own)
        if (printed !== null) resolve(printed[1]!)
      }
      child.stdout!.setEncoding('utf8').on('data', read)
      child.stderr!.setEncoding('utf8').on('data', read)
      child.once('close', (code, signal) => reject(new Error(`the broker ended (${signal ?? code}):\n${own}`)))
    })
    this.#url = await url
    return this
  }

  async restart(env: Readonly<Record<string, string>> = {}, crashAt?: CrashPoint): Promise<this> {
    await this.stop()
    return this.start(env, crashAt)
  }

  /** The next time the process comes to this point it kills itself with SIGKILL. Resolves when it is armed. */
  crashAt(point: CrashPoint): Promise<void> {
    return this.#tell({ crashAt: point })
  }

  /** From now on every write of records fails so; null heals the disk. */
  breakDisk(diskError: 'EIO' | 'ENOSPC' | null): Promise<void> {
    return this.#tell({ diskError })
  }

  /** A message to the process of `script`, if there is one at the moment. */
  tell(message: object): void {
    if (this.isRunning && this.#child.connected) this.#child.send(message)
  }

  async kill9(): Promise<void> {
    this.#signal('SIGKILL')
    await this.ended
  }

  freeze(): void {
    this.#signal('SIGSTOP')
    this.#frozen = true
  }

  thaw(): void {
    this.#signal('SIGCONT')
    this.#frozen = false
  }

  /** As an orchestrator would: SIGTERM, and wait. */
  async stop(): Promise<void> {
    if (this.#frozen) this.thaw()
    this.#signal('SIGTERM')
    await this.ended
  }

  /** Undrained records that the instance reports about itself. */
  async buffered(): Promise<number> {
    return (await this.api.get('/health')).body.buffer.bufferedMessages
  }

  async phase(): Promise<string> {
    return (await this.api.get('/health')).body.phase
  }

  /** The contents of every file of the buffer, for searches. */
  bufferBytes(): Buffer {
    const files = readdirSync(this.bufferDir, { recursive: true, withFileTypes: true }).filter((each) => each.isFile())
    return Buffer.concat(files.map((each) => readFileSync(join(each.parentPath, each.name))))
  }

  async #tell(message: object): Promise<void> {
    const done = once(this.#child, 'message')
    this.#child.send(message)
    await done
  }

  #signal(signal: NodeJS.Signals): void {
    if (this.isRunning) this.#child.kill(signal)
  }
}

export async function startInstance(options: InstanceOptions): Promise<Instance> {
  const instance = new Instance(options)
  atEnd(() => instance.kill9())
  return instance.start({}, options.crashAt)
}
