/** The constructor's options and the chain: defaults, misuse, 0.15's words. No request is made. */
import { describe, expect, test } from 'vitest'
import {
  BUFFER_DEFAULTS,
  CLIENT_DEFAULTS,
  CONSUME_DEFAULTS,
  isQueenError,
  POP_DEFAULTS,
  QUEUE_DEFAULTS,
  Queen,
  QueenUsageError,
} from '../src/index.ts'
import { readOptions } from '../src/options.ts'

describe('constructor options', () => {
  test('a string is one URL, an array several, urls wins over url, trailing slashes go', () => {
    expect(readOptions('http://a/').urls).toEqual(['http://a'])
    expect(readOptions(['http://a//', 'https://b/base/']).urls).toEqual(['http://a', 'https://b/base'])
    expect(readOptions({ url: 'http://a', urls: ['http://b', 'http://b'] }).urls).toEqual(['http://b'])
  })

  test.each([
    [{}, 'Must provide urls or url in configuration'],
    [null, 'Must provide urls or url in configuration'],
    [undefined, 'Must provide urls or url in configuration'],
    [42, 'Must provide urls or url in configuration'],
    ['', 'Must provide urls or url in configuration'],
    [{ url: 'ftp://x' }, 'Invalid URL: ftp://x'],
    [{ url: 'http' }, 'Invalid URL: http'],
    [{ url: 7 }, 'Invalid URL: 7'],
    [{ url: 'http://a?b' }, 'Invalid URL: http://a?b'],
    [{ url: 'http://user:secret@a' }, 'Invalid URL: credentials belong into bearerToken or headers'],
    [['http://a', 'nonsense'], 'Invalid URL: nonsense'],
    [[], 'URLs must be a non-empty array'],
    [{ urls: 'http://a' }, 'URLs must be a non-empty array'],
    [{ url: 'http://a', logger: { info() {} } }, 'Custom logger must implement info(), warn(), and error() methods'],
  ])('%j throws 0.15 words', (config, message) => {
    let error: unknown
    try {
      new Queen(config as never)
    } catch (thrown) {
      error = thrown
    }
    expect(error).toBeInstanceOf(QueenUsageError)
    expect(error).toMatchObject({ message, code: 'USAGE', retryable: false, name: 'QueenUsageError' })
    expect(isQueenError(error)).toBe(true)
  })

  test.each([
    ['timeoutMillis', 0],
    ['retryAttempts', 0],
    ['retryDelayMillis', -1],
    ['retryMaxDelayMillis', Number.NaN],
    ['retryAfterMaxMillis', Number.POSITIVE_INFINITY],
    ['affinityHashRing', 0],
    ['affinityHashRing', 1e9],
    ['healthRetryAfterMillis', '5'],
    ['maxBufferBytes', 0],
    ['loadBalancingStrategy', 'fastest'],
    ['headers', 5],
    ['headers', { 'bad name': 'x' }],
    ['headers', { '': 'x' }],
    ['headers', { 'x-a': 'a\r\nx-b: c' }],
    ['bearerToken', 5],
    ['bearerToken', 'secret\r\nx: y'],
    ['hooks', 3],
    ['hooks', { event: 'log' }],
    ['json', {}],
    ['fetch', {}],
  ])('%s = %s is out of range', (name, value) => {
    expect(() => new Queen({ url: 'http://a', [name]: value } as never)).toThrow(QueenUsageError)
  })

  test('makes no request', () => {
    const asked: unknown[] = []
    const queen = new Queen({
      url: 'http://a',
      handleSignals: false,
      fetch: (async (...request: unknown[]) => asked.push(request)) as never,
      bearerToken: () => {
        asked.push('token')
        return null
      },
    })
    queen.queue('a').group('b')
    queen.transaction()
    expect(queen.admin).toBe(queen.admin)
    expect(asked).toEqual([])
  })

  test('the tables are frozen and say what the code does', () => {
    for (const table of [CLIENT_DEFAULTS, QUEUE_DEFAULTS, CONSUME_DEFAULTS, POP_DEFAULTS, BUFFER_DEFAULTS]) {
      expect(Object.isFrozen(table)).toBe(true)
    }
    expect(readOptions('http://a')).toMatchObject({
      timeoutMillis: 30_000,
      retryAttempts: 3,
      retryDelayMillis: 1_000,
      retryMaxDelayMillis: 30_000,
      retryAfterMaxMillis: 60_000,
      loadBalancingStrategy: 'affinity',
      affinityHashRing: 128,
      enableFailover: true,
      healthRetryAfterMillis: 5_000,
      bearerToken: null,
      headers: {},
      handleSignals: true,
      logger: null,
      maxBufferBytes: 67_108_864,
    })
    expect(POP_DEFAULTS).toMatchObject({ batch: 1, partitions: 1, wait: true, timeoutMillis: 30_000, autoAck: false })
    expect(CONSUME_DEFAULTS).toMatchObject({ concurrency: 1, batch: 1, autoAck: true, wait: true, renewLease: false })
    expect(BUFFER_DEFAULTS).toEqual({ messageCount: 100, timeMillis: 1_000 })
    expect(QUEUE_DEFAULTS).toEqual({
      leaseTime: 300,
      retryLimit: 3,
      priority: 0,
      delayedProcessing: 0,
      windowBuffer: 0,
      maxSize: 0,
      retentionSeconds: 0,
      completedRetentionSeconds: 0,
      encryptionEnabled: false,
    })
  })
})

describe('the chain', () => {
  const queen = new Queen({ url: 'http://127.0.0.1:4', handleSignals: false })

  test('options return the builder, terminals without a name throw 0.15 words', () => {
    const builder = queen.queue('orders')
    expect(builder.name).toBe('orders')
    expect(builder.batch(5).group('g').each()).toBe(builder)
    const nameless = queen.queue()
    expect(nameless.name).toBe(null)
    expect(() => nameless.push(1)).toThrow('Queue name is required for push operation')
    expect(() => nameless.delete()).toThrow('Queue name is required for delete operation')
    expect(() => nameless.dlq()).toThrow('Queue name is required for DLQ operations')
    expect(() => nameless.flushBuffer()).toThrow('Queue name is required for buffer flush')
    expect(() => nameless.messages()).toThrow('Must specify queue, namespace, or task')
  })

  test('pop and consume without queue, namespace and task reject', async () => {
    await expect(queen.queue().pop()).rejects.toThrow('Must specify queue, namespace, or task')
    await expect(queen.queue().consume(() => {})).rejects.toThrow('Must specify queue, namespace, or task')
  })

  test.each(['concurrency', 'batch', 'partitions', 'timeoutMillis', 'limit', 'idleMillis'] as const)(
    '%s refuses what is no number',
    (option) => {
      expect(() => queen.queue('q')[option](Number.NaN)).toThrow(QueenUsageError)
      expect(() => queen.queue('q')[option]('3' as never)).toThrow(QueenUsageError)
    },
  )
})
