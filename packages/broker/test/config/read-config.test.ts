import pg from 'pg'
import { describe, expect, test } from 'vitest'
import { ConfigError } from '../../src/config/config.ts'
import { read } from './surroundings.ts'

const MIB = 1024 * 1024

function refusal(env: Record<string, string>): string {
  try {
    read(env)
  } catch (error) {
    if (error instanceof ConfigError) return error.message
    throw error
  }
  throw new Error('nothing was refused')
}

describe('readConfig', () => {
  test('an empty environment gives the documented defaults', () => {
    const { config, warnings } = read({})
    expect(config).toEqual({
      host: '127.0.0.1',
      port: 6632,
      instanceId: null,
      hostname: 'box',
      dataDir: '/srv/queen/.queen',
      bufferDir: '/srv/queen/.queen/buffer',
      database: { kind: 'embedded', port: 0 },
      databasePoolSize: 10,
      log: { level: 'info', format: 'text' },
      encryptionKey: null,
      defaultSubscriptionMode: 'all',
      authentication: null,
      corsOrigins: '*',
      retentionIntervalMs: 300_000,
      evictionIntervalMs: 60_000,
      metricsRetentionDays: 90,
      traceRetentionDays: 30,
      limits: {
        bodyBytesMax: 64 * MIB,
        payloadBytesMax: 16 * MIB,
        requestsInFlightBytesMax: 256 * MIB,
        waitingPopsMax: 10_000,
        bufferBytesMax: 10 * 1024 * MIB,
        bufferDiskFreeBytesMin: 1024 * MIB,
        bufferDiskFreeBytesWarn: 2048 * MIB,
        bufferHandoffTimeoutMs: 15000,
        dedupCacheBytesMax: 128 * MIB,
        segmentCacheBytesMax: 64 * MIB,
      },
    })
    expect(warnings).toEqual([])
  })

  test('the result cannot be changed', () => {
    const { config } = read({ DATABASE_URL: 'postgres://h/d', CORS_ORIGINS: 'http://a.example' })
    for (const part of [config, config.limits, config.log, config.database, config.corsOrigins]) {
      expect(Object.isFrozen(part)).toBe(true)
    }
  })

  test('an empty variable equals an absent one', () => {
    expect(read({ PORT: '', DATABASE_URL: '', LOG_LEVEL: '', QUEEN_DATA_DIR: '' }).config).toEqual(read({}).config)
  })

  test('directories are taken from the working directory, the buffer follows the data', () => {
    const { config } = read({ QUEEN_DATA_DIR: 'my data' })
    expect([config.dataDir, config.bufferDir]).toEqual(['/work dir/my data', '/work dir/my data/buffer'])
    expect(read({ FILE_BUFFER_DIR: '/disk2' }).config.bufferDir).toBe('/disk2')
  })

  test.each([
    ['BODY_BYTES_MAX', '1024', 1024],
    ['BODY_BYTES_MAX', '2MiB', 2 * MIB],
    ['BODY_BYTES_MAX', '2 mib', 2 * MIB],
    ['BODY_BYTES_MAX', '100KiB', 102_400],
  ])('bytes: %s=%s', (name, text, bytes) => {
    expect(read({ [name]: text }).config.limits.bodyBytesMax).toBe(bytes)
  })

  test('a smaller body limit takes the payload limit with it', () => {
    expect(read({ BODY_BYTES_MAX: '1MiB' }).config.limits.payloadBytesMax).toBe(MIB)
  })

  test.each([
    ['hexadecimal', 'ab'.repeat(32)],
    ['base64', Buffer.alloc(32, 0xab).toString('base64')],
    ['base64url', Buffer.alloc(32, 0xab).toString('base64url')],
  ])('the encryption key as %s, which no print shows', (_, text) => {
    const { config } = read({ QUEEN_ENCRYPTION_KEY: text })
    expect(config.encryptionKey?.export()).toEqual(Buffer.alloc(32, 0xab))
    expect(JSON.stringify(config)).not.toContain(text)
  })

  test('origins', () => {
    const { config } = read({ CORS_ORIGINS: 'https://a.example, http://localhost:3000' })
    expect(config.corsOrigins).toEqual(['https://a.example', 'http://localhost:3000'])
  })

  test.each([
    ['PORT', '65536', 'PORT is "65536", which is not allowed; it must be a whole number from 0 to 65535.'],
    ['PORT', '66 32'],
    ['PORT', '-1'],
    ['PORT', '0x10'],
    ['PORT', '1e3'],
    ['PORT', '10KiB'],
    ['PORT', '99999999999999999999'],
    ['HOST', 'a b'],
    ['INSTANCE_ID', 'no/slash'],
    ['INSTANCE_ID', 'x'.repeat(65)],
    ['QUEEN_DATA_DIR', 'a\0b'],
    ['DB_POOL_SIZE', '1'],
    [
      'LOG_LEVEL',
      'loud',
      'LOG_LEVEL is "loud", which is not allowed; it must be one of trace, debug, info, warn, error, fatal.',
    ],
    ['LOG_FORMAT', 'xml'],
    ['PG_USE_SSL', 'maybe', 'PG_USE_SSL is "maybe", which is not allowed; it must be true, false, 1 or 0.'],
    ['DEFAULT_SUBSCRIPTION_MODE', 'some'],
    ['BODY_BYTES_MAX', '1023'],
    ['BODY_BYTES_MAX', '257MiB'],
    ['BODY_BYTES_MAX', '1.5MiB'],
    [
      'PAYLOAD_BYTES_MAX',
      '65MiB',
      'PAYLOAD_BYTES_MAX is "65MiB", which is more than BODY_BYTES_MAX: such a payload could never arrive.',
    ],
    ['REQUESTS_IN_FLIGHT_BYTES_MAX', '1MiB'],
    ['CORS_ORIGINS', 'https://a.example/path'],
    ['CORS_ORIGINS', 'a.example'],
    ['QUEEN_ENCRYPTION_KEY', 'abc'],
    ['DATABASE_URL', 'mysql://u:geheim@h/d'],
    ['PG_HOST', 'a/b'],
  ])('refuses %s=%s', (name, value, sentence?: string) => {
    const message = refusal({ [name]: value })
    expect(message).toContain(name)
    if (sentence !== undefined) expect(message).toBe(sentence)
  })

  test('a secret is not shown, not even a wrong one', () => {
    expect(refusal({ QUEEN_ENCRYPTION_KEY: 'topsecret' })).not.toContain('topsecret')
    expect(refusal({ DATABASE_URL: 'http://u:topsecret@h' })).not.toContain('topsecret')
  })

  test('a long wrong value is cut', () => {
    expect(refusal({ LOG_LEVEL: 'x'.repeat(100_000) }).length).toBeLessThan(300)
  })
})

describe('the database', () => {
  test('DATABASE_URL, whose label has no credentials', () => {
    const { config } = read({ DATABASE_URL: 'postgresql://me:topsecret@db.example:5433/queue' })
    expect(config.database).toEqual({
      kind: 'url',
      url: 'postgresql://me:topsecret@db.example:5433/queue',
      label: 'db.example:5433/queue',
    })
  })

  test('PG_HOST with the defaults of its companions', () => {
    expect(read({ PG_HOST: 'db' }).config.database).toEqual({
      kind: 'url',
      url: 'postgresql://postgres@db:5432/postgres',
      label: 'db:5432/postgres',
    })
  })

  test('any password and any name survive', () => {
    const [user, password, name] = ['a@b', 'p:/?#[]@% "ü', 'my db/x']
    const { database } = read({ PG_HOST: '::1', PG_USER: user, PG_PASSWORD: password, PG_DB: name }).config
    const url = new URL((database as { url: string }).url)
    expect([url.hostname, ...[url.username, url.password, url.pathname.slice(1)].map(decodeURIComponent)]).toEqual([
      '[::1]',
      user,
      password,
      name,
    ])
  })

  describe('TLS', () => {
    /** What the driver makes of it. */
    const tls = (env: Record<string, string>) => {
      const { database } = read(env).config
      return (new pg.Client({ connectionString: (database as { url: string }).url }) as unknown as { ssl: unknown }).ssl
    }
    const [checked, unchecked] = [{}, { rejectUnauthorized: false }]
    const lax = { PG_USE_SSL: '1', PG_SSL_REJECT_UNAUTHORIZED: 'False' }

    test('is what the variables say, with PG_HOST', () => {
      expect(tls({ PG_HOST: 'db' })).toBe(false)
      expect(tls({ PG_HOST: 'db', PG_USE_SSL: 'true' })).toEqual(checked)
      expect(tls({ PG_HOST: 'db', ...lax })).toEqual(unchecked)
    })

    test.each([
      'sslmode=disable',
      'sslmode=no-verify',
      'sslmode=require',
      'ssl=false',
      'ssl=0&sslmode=disable&uselibpqcompat=true',
      'sslmode=require&uselibpqcompat=true',
      '',
    ])('is what the variables say, whatever DATABASE_URL adds (%s)', (query) => {
      const DATABASE_URL = `postgres://db/x?${query}`
      expect(tls({ DATABASE_URL, PG_USE_SSL: 'true' })).toEqual(checked)
      expect(tls({ DATABASE_URL, ...lax })).toEqual(unchecked)
    })

    test('is what DATABASE_URL says when no variable does', () => {
      expect(tls({ DATABASE_URL: 'postgres://db/x' })).toBe(false)
      expect(tls({ DATABASE_URL: 'postgres://db/x?sslmode=verify-full' })).toEqual(checked)
      expect(tls({ DATABASE_URL: 'postgres://db/x?sslmode=no-verify' })).toEqual(unchecked)
    })

    test('leaves the rest of the URL alone', () => {
      const { database } = read({ DATABASE_URL: 'postgres://a:b@db/x?options=-c%20x=1', PG_USE_SSL: 'true' }).config
      const url = new URL((database as { url: string }).url)
      expect([url.username, url.password, url.searchParams.get('options')]).toEqual(['a', 'b', '-c x=1'])
    })

    test('is pointed out where two disagree, or where it may be missed', () => {
      const warnings = (query: string, more: Record<string, string>) =>
        read({ DATABASE_URL: `postgres://db/x${query}`, ...more }).warnings
      expect(warnings('?sslmode=disable', { PG_USE_SSL: 'true' })).toEqual([
        'PG_USE_SSL and PG_SSL_REJECT_UNAUTHORIZED decide about TLS; what DATABASE_URL says of it (disable) has no effect.',
      ])
      expect(warnings('?sslmode=verify-full', lax)).toHaveLength(1)
      expect(warnings('?sslmode=require', { PG_USE_SSL: 'true' })).toEqual([])
      expect(warnings('', { PGSSLMODE: 'require' })).toEqual([
        'PGSSLMODE has no effect, and the connection to PostgreSQL is not encrypted; PG_USE_SSL is the setting.',
      ])
      expect(warnings('', { PGSSLMODE: 'require', PG_USE_SSL: 'true' })).toEqual([])
      for (const query of ['?sslmode=disable', '?sslnegotiation=direct'])
        expect(warnings(query, { PGSSLMODE: 'require' })).toEqual([])
      expect(read({ PGSSLMODE: 'require' }).warnings).toEqual([])
    })
  })

  test('contradictions are pointed out', () => {
    expect(read({ DATABASE_URL: 'postgres://db/x', PG_HOST: 'db' }).warnings).toEqual([
      'DATABASE_URL and PG_HOST are both set; DATABASE_URL is used.',
    ])
    expect(read({ PG_DB: 'x', PG_USER: 'y' }).warnings).toEqual([
      'PG_USER, PG_DB without PG_HOST has no effect; the embedded PostgreSQL is used.',
    ])
  })
})

describe('misspelt variables', () => {
  test.each([
    ['DATABSE_URL', 'DATABSE_URL is not a setting and has no effect; DATABASE_URL is.'],
    ['FILE_BUFER_DIR', 'FILE_BUFER_DIR is not a setting and has no effect; FILE_BUFFER_DIR is.'],
    ['QUEEN_COLOUR', 'QUEEN_COLOUR is not a setting and has no effect.'],
  ])('%s warns', (name, warning) => {
    expect(read({ [name]: 'x' }).warnings).toEqual([warning])
  })

  test.each([
    ['PG_DATABASE', 'PG_DB'],
    ['PG_SSL', 'PG_USE_SSL'],
    ['PG_PASS', 'PG_PASSWORD'],
    ['PG_HOSTNAME', 'PG_HOST'],
  ])('%s warns: others call it so', (name, ours) => {
    const warning = `${name} is not a setting and has no effect; ${ours} is.`
    expect(read({ [name]: 'x' }).warnings).toEqual([warning])
    expect(read({ [name]: 'x', PG_HOST: 'db' }).warnings).toEqual([warning])
  })

  test('any other PG_ beside PG_HOST warns', () => {
    expect(read({ PG_HOST: 'db', PG_SCHEMA: 'x', PG_MAJOR: '18' }).warnings).toEqual([
      'PG_SCHEMA is not a setting and has no effect.',
    ])
    expect(read({ PG_SCHEMA: 'x' }).warnings).toEqual([])
  })

  test("other programs' variables do not", () => {
    const env = {
      PATH: 'x',
      HOME: 'x',
      HOSTNAME: 'x',
      USER: 'x',
      PWD: 'x',
      SHELL: 'x',
      PGHOST: 'x',
      QUEEN_TEST_DATABASE_URL: 'x',
    }
    expect(read(env).warnings).toEqual([])
  })
})
