/** Which PostgreSQL: DATABASE_URL, or PG_HOST and its companions, or the embedded one. Never connects. */
import type { DatabaseConfig } from './config.ts'
import { type Environment, isSet, readBoolean, readNumber, readText, wrong } from './read-value.ts'
import type { VariableName } from './variables.ts'

const BESIDE_HOST: readonly VariableName[] = ['PG_PORT', 'PG_USER', 'PG_PASSWORD', 'PG_DB']

interface TlsMode {
  readonly sslmode: string
  /** What a URL may say that means the same to the driver. */
  readonly sameAs: readonly string[]
}

const VERIFIED: TlsMode = {
  sslmode: 'verify-full',
  sameAs: ['verify-full', 'verify-ca', 'require', 'prefer', 'true', '1'],
}
const UNVERIFIED: TlsMode = { sslmode: 'no-verify', sameAs: ['no-verify', 'require', 'prefer', 'true', '1'] }

export function readDatabase(env: Environment, warn: (sentence: string) => void): DatabaseConfig {
  const embeddedPort = readNumber(env, 'EMBEDDED_POSTGRES_PORT')
  // Read in every case: a wrong value is named even where it would not be used.
  const rejectUnauthorized = readBoolean(env, 'PG_SSL_REJECT_UNAUTHORIZED')
  const tls = readBoolean(env, 'PG_USE_SSL') ? (rejectUnauthorized ? VERIFIED : UNVERIFIED) : null
  const pgPort = readNumber(env, 'PG_PORT')

  if (isSet(env, 'DATABASE_URL')) {
    if (isSet(env, 'PG_HOST')) warn('DATABASE_URL and PG_HOST are both set; DATABASE_URL is used.')
    const url = parseUrl(env)
    const said = url.searchParams.get('sslmode') ?? url.searchParams.get('ssl')
    if (tls !== null && said !== null && !tls.sameAs.includes(said))
      warn(
        `PG_USE_SSL and PG_SSL_REJECT_UNAUTHORIZED decide about TLS; what DATABASE_URL says of it (${said}) has no effect.`,
      )
    const decided = tls !== null || [...url.searchParams.keys()].some((name) => name.startsWith('ssl'))
    warnOfDriver(env, decided, warn)
    return { kind: 'url', url: withTls(url, tls).href, label: label(url) }
  }
  if (isSet(env, 'PG_HOST')) {
    const url = new URL('postgresql://host')
    url.hostname = hostOf(env)
    url.port = String(pgPort)
    // Assigned, not concatenated: URL encodes whatever a password may contain. A "%" has to be encoded by us.
    url.username = encodeURIComponent(readText(env, 'PG_USER')!)
    url.password = encodeURIComponent(readText(env, 'PG_PASSWORD') ?? '')
    url.pathname = `/${encodeURIComponent(readText(env, 'PG_DB')!)}`
    warnOfDriver(env, tls !== null, warn)
    return { kind: 'url', url: withTls(url, tls).href, label: label(url) }
  }
  const unused = BESIDE_HOST.filter((name) => isSet(env, name))
  if (unused.length > 0) {
    warn(`${unused.join(', ')} without PG_HOST has no effect; the embedded PostgreSQL is used.`)
  }
  return { kind: 'embedded', port: embeddedPort }
}

/** What is said of TLS by a variable goes into the URL, because the driver lets the URL win. Certificate files stay. */
function withTls(url: URL, tls: TlsMode | null): URL {
  if (tls === null) return url
  // They would turn it off, or give sslmode another meaning.
  for (const name of ['ssl', 'uselibpqcompat']) url.searchParams.delete(name)
  url.searchParams.set('sslmode', tls.sslmode)
  return url
}

/** Whoever has it set may think that the connection is encrypted. */
function warnOfDriver(env: Environment, decided: boolean, warn: (sentence: string) => void): void {
  if (!decided && Object.hasOwn(env, 'PGSSLMODE') && !['', 'disable'].includes(env.PGSSLMODE!))
    warn('PGSSLMODE has no effect, and the connection to PostgreSQL is not encrypted; PG_USE_SSL is the setting.')
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
