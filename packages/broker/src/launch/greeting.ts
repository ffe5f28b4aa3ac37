/** What a person sees in the terminal: usage, and after the start what runs where with the first message to send. */
import type { Config } from '../config/config.ts'
import { helpText } from '../config/reference.ts'

export interface Running {
  readonly version: string
  readonly brokerUrl: string
  /** null = the configured database. */
  readonly embedded: { readonly major: number; readonly port: number; readonly dataDir: string } | null
}

export function greeting(config: Config, running: Running): string {
  const { embedded, brokerUrl } = running
  const label = config.database.kind === 'url' ? `PostgreSQL at ${config.database.label}` : 'embedded PostgreSQL'
  const database =
    embedded === null ? label : `${label} ${embedded.major} on 127.0.0.1:${embedded.port}, data in ${embedded.dataDir}`
  return `
Queen ${running.version} is running.
  API and dashboard   ${brokerUrl}
  Database            ${database}
  File buffer         ${config.bufferDir}${embedded === null ? '' : psqlLine(embedded)}

First message:
  curl -X POST ${brokerUrl}/api/v1/push -H 'Content-Type: application/json' \\
    -d '{"items": [{"queue": "hello", "payload": {"text": "world"}}]}'
  curl '${brokerUrl}/api/v1/pop/queue/hello?autoAck=true'

Ctrl-C stops everything.
`
}

/** The shell reads the password from its file: it stands neither in the terminal nor in a log. */
function psqlLine({ port, dataDir }: { readonly port: number; readonly dataDir: string }): string {
  return `\n  DATABASE_URL        "postgresql://queen:$(cat '${dataDir}/password')@127.0.0.1:${port}/postgres"`
}

export function usage(): string {
  return `Usage: npm start   (or: node packages/broker/src/main.ts [--help | --version])

Starts a Queen broker. All settings are environment variables:

${helpText()}
`
}
