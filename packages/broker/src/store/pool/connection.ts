/**
 * One session with PostgreSQL: opened within a bound, set up the way every statement of Queen expects, and given up
 * when it falls silent.
 *
 * A frozen server or a network that swallows packets never reports an error, so every statement has a timer on this
 * side too: past it the socket is destroyed and the caller is told that nobody knows the outcome.
 *
 * Invariant: one statement at a time; once `broken` is set the connection is never used again.
 */
import pg from 'pg'
import { StoreError } from '../../ports/store-error.ts'
import { invalidatesColumns, spoilsConnection, toStoreError } from '../sqlstate.ts'
import { type KnownColumns, Statement } from './statement.ts'
import { RawRowConnection } from './wire.ts'

export interface ConnectionTarget {
  /** TLS as its sslmode says. */
  readonly url: string
  readonly applicationName: string
  readonly connectTimeoutMs: number
  /** PostgreSQL's session settings by name. */
  readonly settings: Readonly<Record<string, string>>
}

// How long the server may be silent beyond its own statement_timeout before the statement is given up: covers a
// scheduling hiccup of a loaded machine. Longer would eat into the 3 s in which a push must be answered.
const SILENCE_MARGIN_MS = 500
const KEEPALIVE_DELAY_MS = 5_000

export class DatabaseConnection {
  readonly #client: pg.Client
  readonly #known: KnownColumns
  #broken = false
  /** Called once when the connection is lost or spoiled; `silent` when it was given up because nothing came back. */
  onBroken: ((silent: boolean) => void) | null = null

  private constructor(client: pg.Client, known: KnownColumns) {
    this.#client = client
    this.#known = known
    // Without a listener a lost idle connection would end the process.
    client.on('error', () => this.#break())
    client.on('end', () => this.#break())
  }

  /** Rejects with a StoreError after connectTimeoutMs at the latest, session settings included. */
  static async open(target: ConnectionTarget, known: KnownColumns): Promise<DatabaseConnection> {
    let connection: DatabaseConnection | null = null
    try {
      const parameters = parametersOf(target.url)
      const client = new pg.Client({
        ...parameters,
        connectionTimeoutMillis: target.connectTimeoutMs,
        application_name: target.applicationName,
        connection: new RawRowConnection({
          ssl: parameters.ssl,
          sslNegotiation: parameters.sslnegotiation,
          keepAlive: true,
          keepAliveInitialDelayMillis: KEEPALIVE_DELAY_MS,
        }),
      } as pg.ClientConfig)
      connection = new DatabaseConnection(client, known)
      const startedAt = performance.now()
      await client.connect()
      const leftMs = Math.max(1, target.connectTimeoutMs - (performance.now() - startedAt))
      await connection.#execute('', sessionSettings(target.settings), [], leftMs, false)
      return connection
    } catch (error) {
      connection?.destroy()
      throw toStoreError(error, false)
    }
  }

  get broken(): boolean {
    return this.#broken
  }

  /** The server's process id of the session, or 0. */
  get processId(): number {
    return (this.#client as unknown as { processID: number | null }).processID ?? 0
  }

  /**
   * Runs one statement; `timeoutMs` is the server's own bound for it. `final`: without a transaction around it, so a
   * lost answer leaves the outcome unknown.
   */
  async run<Row extends object>(
    name: string,
    text: string,
    values: readonly unknown[],
    timeoutMs: number,
    final: boolean,
  ): Promise<Row[]> {
    const statement = await this.#execute(name, text, values, timeoutMs + SILENCE_MARGIN_MS, final)
    return statement.rows as Row[]
  }

  /** Runs commands without parameters (BEGIN, COMMIT, a migration) and returns the tag of the last one. */
  async command(text: string, timeoutMs: number, final: boolean): Promise<string> {
    return (await this.#execute('', text, [], timeoutMs + SILENCE_MARGIN_MS, final)).commandTag
  }

  /** Makes it a session for another purpose, idle as it is. It is cut when that fails. */
  async adopt(settings: Readonly<Record<string, string>>, timeoutMs: number): Promise<void> {
    this.onBroken = null
    try {
      await this.command(`RESET ALL; ${sessionSettings(settings)}`, timeoutMs, false)
    } catch (error) {
      this.destroy()
      throw error
    }
  }

  onNotification(handler: (channel: string, payload: string, processId: number) => void): void {
    this.#client.on('notification', (message) => handler(message.channel, message.payload ?? '', message.processId))
  }

  #execute(
    name: string,
    text: string,
    values: readonly unknown[],
    patienceMs: number,
    final: boolean,
  ): Promise<Statement> {
    return new Promise((resolve, reject) => {
      if (this.#broken) {
        reject(new StoreError('unavailable', 'the connection to PostgreSQL is lost'))
        return
      }
      let timer: NodeJS.Timeout | null = null
      const settle = (error: unknown): void => {
        if (timer === null) return
        clearTimeout(timer)
        timer = null
        if (error === null) {
          resolve(statement)
          return
        }
        const storeError = toStoreError(error, final && statement.sent)
        if (invalidatesColumns(storeError)) this.#known.delete(name)
        if (storeError.failure !== 'defect' && spoilsConnection(storeError)) this.destroy()
        reject(storeError)
      }
      const statement = new Statement(name, text, values, this.#known, settle)
      const giveUp = (): void => {
        if (timer === null) return
        const error = new StoreError('unavailable', 'PostgreSQL does not answer', {
          outcomeUnknown: final && statement.sent,
        })
        this.#break(true)
        settle(error)
        this.destroy()
      }
      // After this process stood still, timers run before sockets are read: the answer may be there already.
      timer = setTimeout(() => setImmediate(giveUp), patienceMs)
      this.#client.query(statement as unknown as pg.Submittable)
    })
  }

  /** Says goodbye to the server. Never rejects and never waits for an answer. */
  close(): void {
    this.#break()
    this.#client.end().catch(() => {})
  }

  /** Cuts the connection. */
  destroy(): void {
    this.#break()
    ;(this.#client as unknown as { connection: pg.Connection }).connection.stream.destroy()
  }

  #break(silent = false): void {
    if (this.#broken) return
    this.#broken = true
    this.onBroken?.(silent)
  }
}

interface Parameters {
  readonly database: string | undefined
  readonly ssl: unknown
  readonly sslnegotiation: string | undefined
}

/** What the driver makes of a URL; but it leaves "/", "?", "#" and some others in the database's name escaped. */
function parametersOf(url: string): Parameters & { readonly password: string | undefined } {
  const probe = new pg.Client({ connectionString: url })
  const { connectionParameters } = probe as unknown as { connectionParameters: Parameters }
  const escaped = new URL(url).pathname.slice(1)
  const database = escaped === '' ? connectionParameters.database : decodeURIComponent(escaped)
  // The password is no property that a spread would take along.
  return { ...connectionParameters, database, password: probe.password }
}

/** One statement that applies all settings. `search_path` and friends are data here, so nothing is spliced unquoted. */
function sessionSettings(settings: Readonly<Record<string, string>>): string {
  const calls = Object.entries(settings).map(
    ([name, value]) => `pg_catalog.set_config(${pg.escapeLiteral(name)}, ${pg.escapeLiteral(value)}, false)`,
  )
  // Never weaker than the server's own default: remote_apply stays.
  calls.push(
    `pg_catalog.set_config('synchronous_commit', CASE pg_catalog.current_setting('synchronous_commit')
       WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, false)`,
  )
  // PostgreSQL 17 and later. Our statements have a limit each; a migration has none.
  calls.push(
    `CASE WHEN pg_catalog.current_setting('transaction_timeout', true) IS NOT NULL
       THEN pg_catalog.set_config('transaction_timeout', '0', false) END`,
  )
  return `SELECT ${calls.join(', ')}`
}
