/**
 * Environment → Config. Reads everything before anything starts, so that a wrong variable costs a second and not a
 * night. Touches neither disk nor network, and knows the environment only as the value it is given.
 */
import { createSecretKey, type KeyObject } from 'node:crypto'
import { join, resolve } from 'node:path'
import type { Config, Limits, LogFormat, LogLevel, SubscriptionMode } from './config.ts'
import { nearMisses } from './near-misses.ts'
import { readAuthentication } from './read-authentication.ts'
import { readDatabase } from './read-database.ts'
import { type Environment, isSet, readChoice, readNumber, readText, wrong } from './read-value.ts'

/** What the machine contributes; main.ts knows it. */
export interface Surroundings {
  /** Relative directories start here. */
  readonly workingDir: string
  /** Home of the default data directory. */
  readonly projectDir: string
  readonly hostname: string
}

/** @throws ConfigError for the first wrong variable */
export function readConfig(env: Environment, around: Surroundings): { config: Config; warnings: readonly string[] } {
  const warnings = nearMisses(env)
  const dataDir = isSet(env, 'QUEEN_DATA_DIR')
    ? directory(env, 'QUEEN_DATA_DIR', around)
    : join(around.projectDir, '.queen')
  const config: Config = {
    host: readHost(env),
    port: readNumber(env, 'PORT'),
    instanceId: readInstanceId(env),
    hostname: around.hostname,
    dataDir,
    bufferDir: isSet(env, 'FILE_BUFFER_DIR') ? directory(env, 'FILE_BUFFER_DIR', around) : join(dataDir, 'buffer'),
    database: Object.freeze(readDatabase(env, (sentence) => warnings.push(sentence))),
    databasePoolSize: readNumber(env, 'DB_POOL_SIZE'),
    log: Object.freeze({
      level: readChoice<LogLevel>(env, 'LOG_LEVEL'),
      format: readChoice<LogFormat>(env, 'LOG_FORMAT'),
    }),
    encryptionKey: readEncryptionKey(env),
    defaultSubscriptionMode: readChoice<SubscriptionMode>(env, 'DEFAULT_SUBSCRIPTION_MODE'),
    authentication: readAuthentication(env, (sentence) => warnings.push(sentence)),
    corsOrigins: readCorsOrigins(env),
    retentionIntervalMs: readNumber(env, 'RETENTION_INTERVAL'),
    evictionIntervalMs: readNumber(env, 'EVICTION_INTERVAL'),
    metricsRetentionDays: readNumber(env, 'METRICS_RETENTION_DAYS'),
    traceRetentionDays: readNumber(env, 'TRACE_RETENTION_DAYS'),
    limits: Object.freeze(readLimits(env)),
  }
  return { config: Object.freeze(config), warnings }
}

function readLimits(env: Environment): Limits {
  const bodyBytesMax = readNumber(env, 'BODY_BYTES_MAX')
  const payload = readNumber(env, 'PAYLOAD_BYTES_MAX')
  if (payload > bodyBytesMax && isSet(env, 'PAYLOAD_BYTES_MAX')) {
    throw wrong(env, 'PAYLOAD_BYTES_MAX', 'is more than BODY_BYTES_MAX: such a payload could never arrive')
  }
  const requestsInFlightBytesMax = readNumber(env, 'REQUESTS_IN_FLIGHT_BYTES_MAX')
  if (requestsInFlightBytesMax < bodyBytesMax) {
    const name = isSet(env, 'REQUESTS_IN_FLIGHT_BYTES_MAX') ? 'REQUESTS_IN_FLIGHT_BYTES_MAX' : 'BODY_BYTES_MAX'
    throw wrong(env, name, 'does not fit: REQUESTS_IN_FLIGHT_BYTES_MAX must be at least BODY_BYTES_MAX')
  }
  const bufferDiskFreeBytesMin = readNumber(env, 'FILE_BUFFER_DISK_FREE_BYTES_MIN')
  return {
    bodyBytesMax,
    payloadBytesMax: Math.min(payload, bodyBytesMax),
    requestsInFlightBytesMax,
    waitingPopsMax: readNumber(env, 'WAITING_POPS_MAX'),
    bufferBytesMax: readNumber(env, 'FILE_BUFFER_BYTES_MAX'),
    bufferDiskFreeBytesMin,
    bufferDiskFreeBytesWarn: isSet(env, 'FILE_BUFFER_DISK_FREE_BYTES_WARN')
      ? readNumber(env, 'FILE_BUFFER_DISK_FREE_BYTES_WARN')
      : bufferDiskFreeBytesMin * 2,
    bufferHandoffTimeoutMs: readNumber(env, 'BUFFER_HANDOFF_TIMEOUT_MS'),
    dedupCacheBytesMax: readNumber(env, 'DEDUP_CACHE_BYTES'),
    segmentCacheBytesMax: readNumber(env, 'SEGMENT_CACHE_BYTES'),
  }
}

function readHost(env: Environment): string {
  const host = readText(env, 'HOST')!
    .trim()
    .replace(/^\[(.*)\]$/, '$1')
  if (!/^[A-Za-z0-9._:%-]{1,255}$/.test(host)) throw wrong(env, 'HOST')
  return host
}

function readInstanceId(env: Environment): string | null {
  const id = readText(env, 'INSTANCE_ID')
  if (id !== undefined && !/^[A-Za-z0-9._-]{1,64}$/.test(id)) throw wrong(env, 'INSTANCE_ID')
  return id ?? null
}

function directory(env: Environment, name: 'QUEEN_DATA_DIR' | 'FILE_BUFFER_DIR', around: Surroundings): string {
  const path = readText(env, name)!
  if (path.includes('\0')) throw wrong(env, name)
  return resolve(around.workingDir, path)
}

function readEncryptionKey(env: Environment): KeyObject | null {
  const text = readText(env, 'QUEEN_ENCRYPTION_KEY')?.trim()
  if (text === undefined) return null
  const isHex = /^[0-9a-f]{64}$/i.test(text)
  // 43 characters and an optional "=" are exactly 32 bytes; both base64 alphabets are in use.
  if (!isHex && !/^[A-Za-z0-9+/_-]{43}=?$/.test(text)) throw wrong(env, 'QUEEN_ENCRYPTION_KEY')
  return createSecretKey(Buffer.from(text, isHex ? 'hex' : 'base64'))
}

function readCorsOrigins(env: Environment): '*' | readonly string[] {
  const text = readText(env, 'CORS_ORIGINS')!.trim()
  if (text === '*') return '*'
  const origins = text.split(',').map((each) => each.trim())
  for (const origin of origins) {
    // Browsers send exactly this form; anything else would never match.
    if (!URL.canParse(origin) || new URL(origin).origin !== origin) throw wrong(env, 'CORS_ORIGINS')
  }
  return Object.freeze(origins)
}
