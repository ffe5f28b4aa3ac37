/** Which PostgreSQL: DATABASE_URL, or PG_HOST and its companions, or the embedded one. Never connects. */
import type { DatabaseConfig } from './config.ts'
import { type Environment, isSet, readBoolean, readNumber, readText, wrong } from './read-value.ts'
import type { VariableName } from './variables.ts'

const BESIDE_HOST: readonly VariableName[] = ['PG_PORT', 'PG_USER', 'PG_PASSWORD', 'PG_DB']

export function readDatabase(env: Environment, warn: (sentence: string) => void): DatabaseConfig {
  const embeddedPort = readNumber(env, 'EMBEDDED_POSTGRES_PORT')
  // Read in every case: a wrong value is named even where it would not be used.
  const rejectUnauthorized = readBoolean(env, 'PG_SSL_REJECT_UNAUTHORIZED')
  const ssl = readBoolean(env, 'PG_USE_SSL') ? { rejectUnauthorized } : null
  const pgPort = readNumber(env, 'PG_PORT')

  if (isSet(env, 'DATABASE_URL')) {
    if (isSet(env, 'PG_HOST')) warn('DATABASE_URL and PG_HOST are both set; DATABASE_URL is used.')
    const url = parseUrl(env)
    return { kind: 'url', url: url.href, label: label(url), ssl }
  }
  if (isSet(env, 'PG_HOST')) {
    const url = new URL('postgresql://host')
    url.hostname = hostOf(env)
    url.port = String(pgPort)
    // Assigned, not concatenated: URL encodes whatever a password may contain. A "%" has to be encoded by us.
    url.username = encodeURIComponent(readText(env, 'PG_USER')!)
    url.password = encodeURIComponent(readText(env, 'PG_PASSWORD') ?? '')
    url.pathname = `/${encodeURIComponent(readText(env, 'PG_DB')!)}`
    return { kind: 'url', url: url.href, label: label(url), ssl }
  }
  const unused = BESIDE_HOST.filter((name) => isSet(env, name))
  if (unused.length > 0) {
    warn(`${unused.join(', ')} without PG_HOST has no effect; the embedded PostgreSQL is used.`)
  }
  return { kind: 'embedded', port: embeddedPort }
}

function parseUrl(env: Environment): URL {
  const text = readText(env, 'DATABASE_URL')!.trim()
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || !/^postgres(ql)?:$/.test(url.protocol) || url.hostname === '')
    throw wrong(env, 'DATABASE_URL')
  return url
}

function hostOf(env: Environment): string {
  const host = readText(env, 'PG_HOST')!.trim()
  const bare = host.includes(':') && !host.startsWith('[') ? `[${host}]` : host
  if (/[\s/@?#\\]/.test(host) || !URL.canParse(`postgresql://${bare}`)) throw wrong(env, 'PG_HOST')
  return bare
}

function label(url: URL): string {
  return `${url.hostname}:${url.port || '5432'}${url.pathname}`
}
