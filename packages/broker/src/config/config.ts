/**
 * The broker's settings as the rest of the code sees them: validated, frozen, in final units. Only read-config.ts makes
 * one, only main.ts asks for it; no other file reads the environment.
 */
import type { KeyObject } from 'node:crypto'

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal'
export type LogFormat = 'text' | 'json'
export type SubscriptionMode = 'all' | 'new'

export type DatabaseConfig =
  /** Nothing was configured: main.ts starts a server of its own under `dataDir`. */
  | { readonly kind: 'embedded'; readonly port: number }
  | {
      readonly kind: 'url'
      /** Contains the password: for the pool only. Log `label`. Its sslmode says all about TLS. */
      readonly url: string
      /** Where it is, without credentials. */
      readonly label: string
    }

export type TokenAlgorithm = 'HS256' | 'RS256' | 'EdDSA'

/** How bearer tokens are judged. At least one of the three keys is there for one of the algorithms. */
export interface AuthenticationConfig {
  readonly algorithms: readonly TokenAlgorithm[]
  readonly secret: KeyObject | null
  /** RSA or Ed25519. */
  readonly publicKey: KeyObject | null
  readonly keySetUrl: string | null
  /** null = not checked. */
  readonly issuer: string | null
  /** Any one of them; null = not checked. */
  readonly audience: readonly string[] | null
  readonly clockSkewSeconds: number
  readonly roleClaim: string
  readonly rolesClaim: string
  readonly roles: { readonly admin: string; readonly readWrite: string; readonly readOnly: string }
}

export interface Config {
  readonly host: string
  /** 0 = any free port. */
  readonly port: number
  /** null = the identity that the file buffer keeps on disk. */
  readonly instanceId: string | null
  readonly hostname: string
  readonly dataDir: string
  readonly bufferDir: string
  readonly database: DatabaseConfig
  readonly databasePoolSize: number
  readonly log: { readonly level: LogLevel; readonly format: LogFormat }
  /** null = queues with encryption are refused. A KeyObject prints as nothing, wherever it ends up. */
  readonly encryptionKey: KeyObject | null
  readonly defaultSubscriptionMode: SubscriptionMode
  /** null = every route is open. */
  readonly authentication: AuthenticationConfig | null
  /** '*' or exact origins. */
  readonly corsOrigins: '*' | readonly string[]
  readonly retentionIntervalMs: number
  readonly evictionIntervalMs: number
  readonly metricsRetentionDays: number
  readonly traceRetentionDays: number
  readonly limits: Limits
}

export interface Limits {
  readonly bodyBytesMax: number
  readonly payloadBytesMax: number
  readonly requestsInFlightBytesMax: number
  readonly waitingPopsMax: number
  readonly bufferBytesMax: number
  readonly bufferDiskFreeBytesMin: number
  readonly bufferDiskFreeBytesWarn: number
  readonly bufferHandoffTimeoutMs: number
  readonly dedupCacheBytesMax: number
  readonly segmentCacheBytesMax: number
}

/** One wrong variable. The message names it, shows the value (never a secret's) and says what is allowed. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  readonly variable: string

  constructor(variable: string, message: string) {
    super(message)
    this.variable = variable
  }
}
