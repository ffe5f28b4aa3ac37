/**
 * Every environment variable the broker knows: the one table that the reader, `--help` and
 * docs/reference/configuration.md (held equal by a test) go by.
 */
import { LIMITS } from '@queen/protocol'

export type Kind =
  | { readonly type: 'integer'; readonly min: number; readonly max: number }
  /** A number of bytes, or one with KiB, MiB, GiB, TiB behind it. */
  | { readonly type: 'bytes'; readonly min: number; readonly max: number }
  | { readonly type: 'boolean' }
  | { readonly type: 'choice'; readonly of: readonly string[] }
  /** Free text with rules of its own, stated in `allowed`. */
  | { readonly type: 'text'; readonly allowed: string }

export interface Variable {
  readonly kind: Kind
  /** As it would be written; undefined = not set. */
  readonly fallback?: string
  /** How the fallback reads in the documentation when it is not a fixed value. */
  readonly fallbackText?: string
  /** The value never appears in a message. */
  readonly secret?: true
  readonly meaning: string
}

const KIB = 1024
const MIB = 1024 * KIB
const GIB = 1024 * MIB
const TIB = 1024 * GIB
const PORT_MAX = 65_535
/** Larger bodies cannot be one Buffer-to-string conversion in V8 (about 512 MiB of one-byte text). */
const BODY_MAX = 256 * MIB

export const VARIABLES = {
  HOST: {
    kind: { type: 'text', allowed: 'an IP address or host name to listen on' },
    fallback: '127.0.0.1',
    meaning: 'Address to listen on. `0.0.0.0` (or `::`) for all interfaces, as in a container.',
  },
  PORT: {
    kind: { type: 'integer', min: 0, max: PORT_MAX },
    fallback: '6632',
    meaning: 'Port of the API and the dashboard. `0` takes any free port and prints it.',
  },
  INSTANCE_ID: {
    kind: { type: 'text', allowed: '1 to 64 letters, digits, dots, dashes or underscores' },
    fallbackText: 'an id kept in the file buffer',
    meaning:
      'Name of this instance in status and log. A start is refused while another one of this database goes by it.',
  },
  QUEEN_DATA_DIR: {
    kind: { type: 'text', allowed: 'a directory' },
    fallbackText: '`.queen` in the project',
    meaning: 'What the broker keeps on this machine: embedded PostgreSQL and, by default, the file buffer.',
  },
  FILE_BUFFER_DIR: {
    kind: { type: 'text', allowed: 'a directory' },
    fallbackText: '`buffer` in QUEEN_DATA_DIR',
    meaning: "The disk that holds pushes while the database does not. Best not the database's disk. One per instance.",
  },
  DATABASE_URL: {
    kind: { type: 'text', allowed: 'postgresql://user:password@host:port/database' },
    secret: true,
    meaning: 'PostgreSQL 15 or later. With neither this nor PG_HOST, an embedded PostgreSQL is started.',
  },
  PG_HOST: {
    kind: { type: 'text', allowed: 'a host name or IP address' },
    meaning: 'Host of your PostgreSQL, instead of DATABASE_URL (which wins when both are set).',
  },
  PG_PORT: { kind: { type: 'integer', min: 1, max: PORT_MAX }, fallback: '5432', meaning: 'Port beside PG_HOST.' },
  PG_USER: { kind: { type: 'text', allowed: 'a role name' }, fallback: 'postgres', meaning: 'Role beside PG_HOST.' },
  PG_PASSWORD: { kind: { type: 'text', allowed: 'any text' }, secret: true, meaning: 'Password beside PG_HOST.' },
  PG_DB: {
    kind: { type: 'text', allowed: 'a database name' },
    fallback: 'postgres',
    meaning: 'Database beside PG_HOST.',
  },
  PG_USE_SSL: {
    kind: { type: 'boolean' },
    fallback: 'false',
    meaning:
      'Encrypt the connection to PostgreSQL, with PG_HOST or with DATABASE_URL, whose own sslmode then has no effect.',
  },
  PG_SSL_REJECT_UNAUTHORIZED: {
    kind: { type: 'boolean' },
    fallback: 'true',
    meaning: 'With PG_USE_SSL: refuse a certificate that no known authority signed.',
  },
  EMBEDDED_POSTGRES_PORT: {
    kind: { type: 'integer', min: 0, max: PORT_MAX },
    fallback: '0',
    meaning: 'Port of the embedded PostgreSQL on 127.0.0.1. `0` takes any free port and prints it.',
  },
  DB_POOL_SIZE: {
    kind: { type: 'integer', min: 2, max: 200 },
    fallback: '10',
    meaning:
      'Connections for pushes, pops and acks, opened when needed; of those that rest for a minute two stay. Up to 7 more are opened beside them; leave PostgreSQL room for both, and for psql.',
  },
  LOG_LEVEL: {
    kind: { type: 'choice', of: ['trace', 'debug', 'info', 'warn', 'error', 'fatal'] },
    fallback: 'info',
    meaning: 'The least severe lines that are logged.',
  },
  LOG_FORMAT: {
    kind: { type: 'choice', of: ['text', 'json'] },
    fallback: 'text',
    meaning: '`text` for people, `json` (one object a line) for log collectors.',
  },
  QUEEN_ENCRYPTION_KEY: {
    kind: { type: 'text', allowed: '32 bytes as 64 hexadecimal digits or as base64' },
    secret: true,
    meaning: 'Key for queues with `encryptionEnabled` (AES-256-GCM), in the database and in the file buffer.',
  },
  DEFAULT_SUBSCRIPTION_MODE: {
    kind: { type: 'choice', of: ['all', 'new'] },
    fallback: 'all',
    meaning: 'Where a new consumer group starts that does not say: at the oldest message or at the next one.',
  },
  JWT_ENABLED: {
    kind: { type: 'boolean' },
    fallbackText: '`true` when one of the three keys below is set',
    meaning: 'Ask every caller of the API for a bearer token. `true` without a key stops the start.',
  },
  JWT_SECRET: {
    kind: { type: 'text', allowed: 'any text, best 32 characters or more' },
    secret: true,
    meaning: 'Shared secret of tokens signed with HS256.',
  },
  JWT_PUBLIC_KEY: {
    kind: { type: 'text', allowed: 'a public key or certificate in PEM, RSA or Ed25519; \\n may stand for a line end' },
    // A private key, set by mistake, must not be shown either.
    secret: true,
    meaning: 'Key of tokens signed with RS256 or EdDSA.',
  },
  JWT_JWKS_URL: {
    kind: { type: 'text', allowed: 'an http or https URL' },
    meaning:
      'Key set of the identity provider, for RS256 and EdDSA; read when first needed and again every 10 minutes.',
  },
  JWT_ALGORITHM: {
    kind: { type: 'choice', of: ['auto', 'hs256', 'rs256', 'eddsa'] },
    fallback: 'auto',
    meaning: 'The signature that is accepted; `auto` accepts those that there is a key for.',
  },
  JWT_ISSUER: { kind: { type: 'text', allowed: 'any text' }, meaning: 'If set, the `iss` that tokens must have.' },
  JWT_AUDIENCE: {
    kind: { type: 'text', allowed: 'one or more values with commas between them' },
    meaning: 'If set, tokens must have one of these in `aud`.',
  },
  JWT_CLOCK_SKEW_SECONDS: {
    kind: { type: 'integer', min: 0, max: 600 },
    fallback: '30',
    meaning: 'How far the clocks of issuer and broker may differ when `exp` and `nbf` are checked.',
  },
  JWT_ROLE_CLAIM: {
    kind: { type: 'text', allowed: 'the name of a claim; dots lead into objects' },
    fallback: 'role',
    meaning: 'Claim with the role as a string.',
  },
  JWT_ROLES_CLAIM: {
    kind: { type: 'text', allowed: 'the name of a claim; dots lead into objects' },
    fallback: 'roles',
    meaning: 'Claim with the roles as an array (`realm_access.roles` for Keycloak).',
  },
  JWT_ROLE_ADMIN: {
    kind: { type: 'text', allowed: 'any text' },
    fallback: 'admin',
    meaning: 'Role that may do everything.',
  },
  JWT_ROLE_READ_WRITE: {
    kind: { type: 'text', allowed: 'any text' },
    fallback: 'read-write',
    meaning: 'Role that may push, pop, ack, configure and read.',
  },
  JWT_ROLE_READ_ONLY: {
    kind: { type: 'text', allowed: 'any text' },
    fallback: 'read-only',
    meaning: 'Role that may only read.',
  },
  CORS_ORIGINS: {
    kind: { type: 'text', allowed: '* or a comma-separated list of origins such as https://admin.example.com' },
    fallback: '*',
    meaning: 'Web origins that may call the API from a browser.',
  },
  BODY_BYTES_MAX: {
    kind: { type: 'bytes', min: KIB, max: BODY_MAX },
    fallback: `${LIMITS.bodyBytesMax / MIB}MiB`,
    meaning: 'Largest request body; above it 413.',
  },
  PAYLOAD_BYTES_MAX: {
    kind: { type: 'bytes', min: KIB, max: BODY_MAX },
    fallback: `${LIMITS.payloadBytesMax / MIB}MiB`,
    fallbackText: `\`${LIMITS.payloadBytesMax / MIB}MiB\`, or BODY_BYTES_MAX when that is less`,
    meaning: 'Largest payload of one message, as JSON text; above it the item fails.',
  },
  REQUESTS_IN_FLIGHT_BYTES_MAX: {
    kind: { type: 'bytes', min: KIB, max: 64 * GIB },
    fallback: '256MiB',
    meaning: 'Memory for the bodies of all running requests together; above it 503 `OVERLOADED`.',
  },
  WAITING_POPS_MAX: {
    kind: { type: 'integer', min: 1, max: 1_000_000 },
    fallback: '10000',
    meaning: 'Pops that may wait for messages at the same time; above it 503 `OVERLOADED`.',
  },
  FILE_BUFFER_BYTES_MAX: {
    kind: { type: 'bytes', min: 64 * KIB, max: 1024 * TIB },
    fallback: '10GiB',
    meaning: 'Size of the file buffer; at it 507 `BUFFER_FULL`, nothing is dropped.',
  },
  FILE_BUFFER_DISK_FREE_BYTES_MIN: {
    kind: { type: 'bytes', min: 0, max: 1024 * TIB },
    fallback: '1GiB',
    meaning: 'Space the file buffer leaves free on its disk; below it 507 `BUFFER_FULL`.',
  },
  FILE_BUFFER_DISK_FREE_BYTES_WARN: {
    kind: { type: 'bytes', min: 0, max: 1024 * TIB },
    fallbackText: 'twice FILE_BUFFER_DISK_FREE_BYTES_MIN',
    meaning: 'With less space free on the disk of the file buffer, the log and `/health` warn. `0` never does.',
  },
  BUFFER_HANDOFF_TIMEOUT_MS: {
    kind: { type: 'integer', min: 1_000, max: 86_400_000 },
    fallback: '15000',
    meaning: 'After a maintenance window: how long the other instances wait for a silent one that may hold messages.',
  },
  RETENTION_INTERVAL: {
    kind: { type: 'integer', min: 100, max: 86_400_000 },
    fallback: '300000',
    meaning: 'Pause between two runs of retention (`retentionSeconds`, `completedRetentionSeconds`), in milliseconds.',
  },
  EVICTION_INTERVAL: {
    kind: { type: 'integer', min: 100, max: 86_400_000 },
    fallback: '60000',
    meaning: 'Pause between two looks for messages that have waited too long (`maxWaitTimeSeconds`), in milliseconds.',
  },
  METRICS_RETENTION_DAYS: {
    kind: { type: 'integer', min: 8, max: 3_650 },
    fallback: '90',
    meaning: 'How long hourly figures of queues and instances are kept; finer ones are kept for 25 hours and 8 days.',
  },
  TRACE_RETENTION_DAYS: {
    kind: { type: 'integer', min: 1, max: 3_650 },
    fallback: '30',
    meaning: 'How long traces are kept at least; they stay as long as their message is stored.',
  },
  DEDUP_CACHE_BYTES: {
    kind: { type: 'bytes', min: 0, max: 64 * GIB },
    fallback: '128MiB',
    meaning: 'Memory for recent transactionIds. Less costs database time, never correctness.',
  },
  SEGMENT_CACHE_BYTES: {
    kind: { type: 'bytes', min: 0, max: 64 * GIB },
    fallback: '64MiB',
    meaning: 'Memory for segments that several consumer groups read. Less costs database time.',
  },
} as const satisfies Record<string, Variable>

export type VariableName = keyof typeof VARIABLES
