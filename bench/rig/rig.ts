/**
 * What a benchmark runs on: a PostgreSQL of its own with the settings that production gets, and for every round a new
 * database and a broker in a process of its own, started as `npm start` starts it.
 *
 * The data lies on the disk of the project, never in memory, and is deleted at the end.
 */
import { mkdirSync, mkdtempSync, rmSync, statfsSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { type EmbeddedPostgres, startPostgres } from '@queen/embedded-postgres'
import pg from 'pg'
import { PROJECT_DIR } from '../../scripts/installation.mjs'
import { jsonCall } from '../load/json-call.ts'
import { type ServerProcess, startServerProcess } from './server-process.ts'

export interface Round {
  readonly broker: ServerProcess
  readonly ceiling: ServerProcess
  readonly databaseUrl: string
  /** A connection beside the broker's, for counting and for the yardstick. */
  readonly sql: pg.Client
  close(): Promise<void>
}

export interface RigOptions {
  /** Where to write profiles of the broker, or null. */
  readonly profileDir: string | null
}

// About what lies between two checkpoints with the settings that production gets.
const WAL_MIB = 1_536
const TMPFS_MAGIC = 0x01021994
const READY_TIMEOUT_MS = 30_000
const READY_POLL_MS = 50

export class Rig {
  readonly #dir: string
  readonly #postgres: EmbeddedPostgres
  readonly #options: RigOptions
  #ceiling: ServerProcess | null = null
  readonly #brokers: ServerProcess[] = []
  #closing: Promise<void> | null = null
  #rounds = 0

  private constructor(dir: string, postgres: EmbeddedPostgres, options: RigOptions) {
    this.#dir = dir
    this.#postgres = postgres
    this.#options = options
  }

  static async open(options: RigOptions): Promise<Rig> {
    const home = join(PROJECT_DIR, '.queen')
    mkdirSync(home, { recursive: true })
    const dir = mkdtempSync(join(home, 'bench-'))
    const postgres = await startPostgres({ dataDir: join(dir, 'postgres') })
    for (const place of [dir, postgres.dataDir]) {
      if (statfsSync(place).type === TMPFS_MAGIC) {
        process.stderr.write(`bench: ${place} is in memory; figures of durable writes mean nothing there\n`)
      }
    }
    const rig = new Rig(dir, postgres, options)
    await rig.#makeWalFiles()
    return rig
  }

  /** As `npm start` connects. */
  get #url(): string {
    return this.#postgres.socketUrl ?? this.#postgres.url
  }

  get postgresPid(): number {
    return this.#postgres.pid
  }

  async openRound(): Promise<Round> {
    this.#ceiling ??= await startServerProcess({
      args: [...this.#profile('ceiling'), join(import.meta.dirname, 'ceiling-server.ts')],
      env: {},
    })
    const database = await this.createDatabase()
    const broker = await this.startBroker(database.url)
    const close = async (): Promise<void> => {
      await broker.stop()
      await database.drop()
    }
    return { broker, ceiling: this.#ceiling, databaseUrl: database.url, sql: database.sql, close }
  }

  async createDatabase(): Promise<{ name: string; url: string; sql: pg.Client; drop(): Promise<void> }> {
    const name = `round_${++this.#rounds}`
    await this.#onServer(`CREATE DATABASE ${name} TEMPLATE template0`)
    const url = new URL(this.#url)
    url.pathname = `/${name}`
    const sql = new pg.Client({ connectionString: url.href })
    // A server that went away is told by the query that misses it.
    sql.on('error', () => {})
    await sql.connect()
    const drop = async (): Promise<void> => {
      await sql.end()
      await this.#onServer(`DROP DATABASE ${name} WITH (FORCE)`)
      // The next round begins with a checkpoint's work done, not with what this round left behind.
      await this.#onServer('CHECKPOINT')
    }
    return { name, url: url.href, sql, drop }
  }

  /** `settings`: environment variables that differ from what `npm start` gives. */
  async startBroker(databaseUrl: string, settings: Readonly<Record<string, string>> = {}): Promise<ServerProcess> {
    const dataDir = mkdtempSync(join(this.#dir, 'broker-'))
    const broker = await startServerProcess({
      args: [...this.#profile('broker'), join(PROJECT_DIR, 'packages', 'broker', 'src', 'main.ts')],
      env: {
        DATABASE_URL: databaseUrl,
        HOST: '127.0.0.1',
        PORT: '0',
        QUEEN_DATA_DIR: dataDir,
        LOG_LEVEL: 'warn',
        ...settings,
      },
    })
    this.#brokers.push(broker)
    await writesDirectly(broker.url)
    return broker
  }

  /** Ends everything that runs and deletes its data. May be called at any time, and again. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    await Promise.all([this.#ceiling, ...this.#brokers].map((server) => server?.stop()))
    await this.#postgres.stop('fast')
    rmSync(this.#postgres.dataDir, { recursive: true, force: true })
    rmSync(this.#dir, { recursive: true, force: true })
  }

  #profile(name: string): string[] {
    const { profileDir } = this.#options
    return profileDir === null ? [] : ['--cpu-prof', `--cpu-prof-dir=${join(profileDir, name)}`]
  }

  /**
   * A server that has run for a while uses its WAL files again; in a new one each has to be made while commits wait for
   * it, which would be measured in the first round only.
   */
  async #makeWalFiles(): Promise<void> {
    await this.#onServer(
      `SELECT count(pg_logical_emit_message(false, 'bench', repeat('x', 1024 * 1024))) FROM generate_series(1, ${WAL_MIB})`,
    )
    await this.#onServer('CHECKPOINT')
  }

  async #onServer(statement: string): Promise<void> {
    const client = new pg.Client({ connectionString: this.#url })
    await client.connect()
    try {
      await client.query(statement)
    } finally {
      await client.end()
    }
  }
}

/** A broker accepts pushes before its database is ready, into the file buffer; that is measured elsewhere. */
async function writesDirectly(url: string): Promise<void> {
  const deadlineMs = performance.now() + READY_TIMEOUT_MS
  for (;;) {
    const { accepts } = await jsonCall<{ accepts: string }>('GET', `${url}/health/ready`)
    if (accepts === 'direct') return
    if (performance.now() > deadlineMs) throw new Error(`the broker still answers accepts: ${accepts}`)
    await pause(READY_POLL_MS)
  }
}
