/**
 * The executable: the only reader of argv, environment and signals. Configuration → database → broker, and back in
 * reverse order when the process is told to end.
 *
 * Exit codes: 0 stopped as asked; 1 something broke; 2 it could not start, and one sentence on stderr says why;
 * 130 or 143 ended at once by a second signal. Decides nothing about messages.
 */
import { hostname } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type EmbeddedPostgres, startPostgres } from '@queen/embedded-postgres'
import type { Logger } from 'pino'
import { startBroker } from './app.ts'
import type { Config } from './config/config.ts'
import { driverVariables } from './config/driver-variables.ts'
import { readConfig } from './config/read-config.ts'
import { VERSION } from './config/version.ts'
import { keepRunning } from './launch/embedded-server.ts'
import { greeting, running, usage } from './launch/greeting.ts'
import { makeWritable } from './launch/make-writable.ts'
import { startupSentence } from './launch/startup-sentence.ts'
import { createLog } from './observe/log.ts'
import { openStdout } from './observe/stdout.ts'

/** Started or starting: a signal in the middle of a start waits for the part and then stops it. */
interface Parts {
  postgres?: Promise<EmbeddedPostgres>
  broker?: Promise<{ readonly url: string; stop(): Promise<void> }>
  /** Whatever ends from then on was told to. */
  readonly ending: AbortController
}

const PROJECT_DIR = fileURLToPath(new URL('../../..', import.meta.url))
const PAGE_DIR = join(PROJECT_DIR, 'packages', 'dashboard', 'dist')
/** Beside the pool: what else this broker opens, psql, perhaps a second broker, and what PostgreSQL keeps for itself. */
const OTHER_CONNECTIONS = 30
/** PostgreSQL's default. */
const CONNECTIONS_MIN = 100
/** Time for long polls to be answered and a checkpoint to be written; orchestrators kill after 30 s. */
const STOP_TIMEOUT_MS = 25_000
/** One key press may arrive twice, from the terminal and forwarded by npm; a person's second one comes later. */
const DOUBLED_SIGNAL_MS = 300

async function run(): Promise<void> {
  const around = { workingDir: process.cwd(), projectDir: PROJECT_DIR, hostname: hostname() }
  const { config, warnings } = readConfig(process.env, around)
  for (const name of driverVariables(process.env)) delete process.env[name]
  const log = createLog(config.log)
  for (const warning of warnings) log.warn(warning)
  makeWritable('QUEEN_DATA_DIR', config.dataDir)
  makeWritable('FILE_BUFFER_DIR', config.bufferDir)

  const parts: Parts = { ending: new AbortController() }
  const stopping = stopOnSignals(parts, log)
  try {
    if (config.database.kind === 'embedded') parts.postgres = startEmbedded(config, config.database.port, parts, log)
    const postgres = await parts.postgres
    if (stopping.requested) return
    const databaseUrl = config.database.kind === 'url' ? config.database.url : (postgres!.socketUrl ?? postgres!.url)
    parts.broker = startBroker(config, { databaseUrl, log, pageDir: PAGE_DIR })
    const broker = await parts.broker
    if (stopping.requested) return
    const started = { version: VERSION, brokerUrl: broker.url, embedded: postgres ?? null }
    // Whoever collects lines of JSON is to find nothing else.
    if (config.log.format === 'json') log.info(running(config, started), 'Queen is running')
    else openStdout().write(greeting(config, started))
  } catch (error) {
    // A start that a signal interrupted may fail for that reason; the signal's handler ends the process.
    if (stopping.requested) return
    parts.ending.abort()
    await parts.postgres?.then((postgres) => postgres.stop()).catch(() => {})
    throw error
  }
}

async function startEmbedded(config: Config, port: number, parts: Parts, log: Logger): Promise<EmbeddedPostgres> {
  const dataDir = join(config.dataDir, 'postgres')
  const connections = Math.max(CONNECTIONS_MIN, config.databasePoolSize + OTHER_CONNECTIONS)
  const settings = { max_connections: String(connections) }
  const postgres = await startPostgres({ dataDir, port, settings, log: (line) => log.debug(`postgres: ${line}`) })
  if (postgres.isStandIn) log.info(`PostgreSQL cannot run as root; its data is in ${postgres.dataDir}`)
  void keepRunning(postgres, { log, ending: parts.ending.signal })
  return postgres
}

/** First signal: broker, then database. Second: at once (PostgreSQL's watchdog then stops PostgreSQL). */
function stopOnSignals(parts: Parts, log: Logger): { requested: boolean } {
  const state = { requested: false, firstAt: 0 }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      if (state.requested) {
        if (performance.now() - state.firstAt > DOUBLED_SIGNAL_MS) process.exit(signal === 'SIGINT' ? 130 : 143)
        return
      }
      state.requested = true
      state.firstAt = performance.now()
      log.info(`${signal}: stopping; a second one stops at once`)
      setTimeout(() => {
        log.error('not stopped in time')
        process.exit(1)
      }, STOP_TIMEOUT_MS)
      void stopAll(parts, log).then((clean) => process.exit(clean ? 0 : 1))
    })
  }
  return state
}

async function stopAll(parts: Parts, log: Logger): Promise<boolean> {
  parts.ending.abort()
  let clean = true
  for (const part of [parts.broker, parts.postgres]) {
    const started = await part?.catch(() => undefined) // what never started needs no stop
    await started?.stop().catch((error: unknown) => {
      log.error({ err: error }, 'stopping failed')
      clean = false
    })
  }
  log.info('stopped')
  return clean
}

function fail(sentence: string): never {
  process.stderr.write(`queen: ${sentence}\n`)
  process.exit(2)
}

// A pager that quit or a full disk behind the output must not stop the broker.
for (const output of [process.stdout, process.stderr]) output.on('error', () => {})

const [argument] = process.argv.slice(2)
if (argument === '--help' || argument === '-h') process.stdout.write(usage())
else if (argument === '--version') process.stdout.write(`${VERSION}\n`)
else if (argument !== undefined)
  fail(`${JSON.stringify(argument)} is not known; settings are environment variables, see --help.`)
else {
  await run().catch((error: unknown) => {
    const sentence = startupSentence(error)
    if (sentence !== undefined) fail(sentence)
    console.error(error)
    process.exit(1)
  })
}
