/** What a person sees in the terminal: usage, and after the start what runs where with the first message to send. */
import type { Config } from '../config/config.ts'
import { helpText } from '../config/reference.ts'

/** A place to fill in: who may push is decided by whoever makes the tokens. */
const TOKEN = "-H 'Authorization: Bearer <token>'"

export interface Running {
  readonly version: string
  readonly brokerUrl: string
  /** null = the configured database. */
  readonly embedded: { readonly major: number; readonly port: number; readonly dataDir: string } | null
}

export function greeting(config: Config, started: Running): string {
  const { embedded, brokerUrl } = started
  const authorization = config.authentication === null ? '' : ` ${TOKEN}`
  return `
Queen ${started.version} is running.
  API and dashboard   ${brokerUrl}
  Database            ${databaseLabel(config, started)}
  File buffer         ${config.bufferDir}${embedded === null ? '' : psqlLine(embedded)}

First message:
  curl -X POST ${brokerUrl}/api/v1/push${authorization} -H 'Content-Type: application/json' \\
    -d '{"items": [{"queue": "hello", "payload": {"text": "world"}}]}'
  curl${authorization} '${brokerUrl}/api/v1/pop/queue/hello?autoAck=true'

Ctrl-C stops everything.
`
}

/** The same for a collector of logs. */
export function running(config: Config, started: Running): Record<string, string> {
  return {
    version: started.version,
    url: started.brokerUrl,
    database: databaseLabel(config, started),
    bufferDir: config.bufferDir,
  }
}

function databaseLabel(config: Config, { embedded }: Running): string {
  const label = config.database.kind === 'url' ? `PostgreSQL at ${config.database.label}` : 'embedded PostgreSQL'
  return embedded === null
    ? label
    : `${label} ${embedded.major} on 127.0.0.1:${embedded.port}, data in ${embedded.dataDir}`
}

/**
 * To be pasted as it stands. The shell reads the password from its file: it is neither in the terminal nor in a log. Not
 * exported, or the next start in that shell would take it for a PostgreSQL of the operator's own.
 */
function psqlLine({ port, dataDir }: { readonly port: number; readonly dataDir: string }): string {
  const file = `'${`${dataDir}/password`.replaceAll("'", "'\\''")}'`
  return `\n  For psql            DATABASE_URL="postgresql://queen:$(cat ${file})@127.0.0.1:${port}/postgres"`
}

export function usage(): string {
  return `Usage: npm start   (or: node packages/broker/src/main.ts [--help | --version])

Starts a Queen broker. All settings are environment variables:

${helpText()}
`
}
