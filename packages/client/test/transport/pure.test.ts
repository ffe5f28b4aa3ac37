/** What decides about requests, without any: ring, balancing, health, back-off, retry plan, paths. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { QueenConnectionError, QueenTimeoutError } from '../../src/errors/classes.ts'
import { errorFromAnswer } from '../../src/errors/from-answer.ts'
import { backOffMillis, parseRetryAfter } from '../../src/timing/back-off.ts'
import { createBackendHealth, marksUnhealthy } from '../../src/transport/backend-health.ts'
import { createHashRing, fnv1a } from '../../src/transport/hash-ring.ts'
import { createLoadBalancer } from '../../src/transport/load-balancer.ts'
import { occurrences } from '../../src/transport/occurrences.ts'
import { query, segment } from '../../src/transport/path.ts'
import { afterFailure, type RetryDecision, startRound } from '../../src/transport/retry-plan.ts'

test('occurrences: each one counted once where all are alike, never more than there are', () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom('ab', 'ab..', 'ab', '..', 'a')), (parts) => {
      const answer = parts.join('')
      expect(occurrences(answer, 'ab')).toBeLessThanOrEqual(answer.split('ab').length - 1)
    }),
  )
  for (const gap of ['', '.', '.....']) expect(occurrences(`ab${gap}`.repeat(7), 'ab')).toBe(7)
  const results = Array.from({ length: 1_000 }, (_, index) => ({ index, status: 'queued' }))
  expect(occurrences(JSON.stringify(results), '"status":"queued"')).toBe(1_000)
  expect(occurrences('', 'ab')).toBe(0)
})

describe('hash ring', () => {
  test.each([
    ['', 0x811c9dc5],
    ['a', 0xe40c292c],
    ['foobar', 0xbf9cf968],
    ['http://a#vnode0', fnv1a('http://a#vnode0')],
  ])('FNV-1a of %j', (text, hash) => expect(fnv1a(text)).toBe(hash))

  test('offers every URL once, always the same first one, whatever the order of the URLs', () => {
    const urls = ['http://a', 'http://b', 'http://c']
    const ring = createHashRing(urls, 128)
    const reversed = createHashRing([...urls].reverse(), 128)
    fc.assert(
      fc.property(fc.string(), (key) => {
        const order = ring.order(key)
        expect([...order].sort()).toEqual(urls)
        expect(ring.order(key)).toEqual(order)
        expect(reversed.order(key)).toEqual(order)
      }),
    )
  })

  test('only the keys of a URL that goes move', () => {
    const all = createHashRing(['http://a', 'http://b', 'http://c'], 128)
    const fewer = createHashRing(['http://a', 'http://c'], 128)
    let moved = 0
    for (let k = 0; k < 1000; k++) {
      const before = all.order(`key-${k}`)
      const after = fewer.order(`key-${k}`)
      if (before[0] !== 'http://b') expect(after[0]).toBe(before[0])
      else {
        moved++
        expect(after[0]).toBe(before[1])
      }
    }
    expect(moved).toBeGreaterThan(150)
    expect(moved).toBeLessThan(550)
  })
})

describe('back-off', () => {
  test('is doubled, bounded and spread over the upper half', () => {
    fc.assert(
      fc.property(
        fc.nat(100),
        fc.nat(10_000),
        fc.nat(60_000),
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        (n, first, max, jitter) => {
          const full = Math.min(first * 2 ** Math.min(Math.max(0, n - 1), 30), max)
          const millis = backOffMillis(n, first, max, jitter)
          expect(millis).toBeGreaterThanOrEqual(full / 2)
          expect(millis).toBeLessThanOrEqual(full)
        },
      ),
    )
    expect(backOffMillis(1, 1000, 30_000, 0)).toBe(500)
    expect(backOffMillis(3, 1000, 30_000, 0.5)).toBe(3000)
  })

  const now = Date.parse('2026-11-23T12:00:00Z')
  test.each([
    ['7', 7000],
    ['0', 0],
    ['1.5', 1500],
    ['Mon, 23 Nov 2026 12:00:30 GMT', 30_000],
    ['Mon, 23 Nov 2026 11:00:00 GMT', 0],
    ['-5', undefined],
    ['soon', undefined],
    ['', undefined],
    [null, undefined],
  ])('Retry-After %j', (header, millis) => expect(parseRetryAfter(header, now)).toBe(millis))
})

describe('retry plan', () => {
  const policy = { rounds: 3, retryDelayMillis: 1000, retryMaxDelayMillis: 30_000, retryAfterMaxMillis: 60_000 }
  const away = { retryable: true }

  function walk(urls: string[], errors: { retryable: boolean; retryAfterMillis?: number }[]): (string | number)[] {
    const steps: (string | number)[] = []
    let { url, state } = startRound(1, urls)
    steps.push(url)
    for (const error of errors) {
      const decision: RetryDecision = afterFailure(policy, state, error, 0)
      if (decision.do === 'give-up') return [...steps, 'give up']
      if (decision.do === 'try') ({ url, state } = decision)
      else {
        steps.push(decision.millis)
        ;({ url, state } = startRound(decision.round, urls))
      }
      steps.push(url)
    }
    return steps
  }

  test('one URL: as many attempts as rounds, waits doubled', () => {
    expect(walk(['a'], [away, away, away])).toEqual(['a', 500, 'a', 1000, 'a', 'give up'])
  })

  test('several URLs: each once a round, at once', () => {
    expect(walk(['a', 'b'], [away, away, away, away, away, away])).toEqual([
      'a',
      'b',
      500,
      'a',
      'b',
      1000,
      'a',
      'b',
      'give up',
    ])
  })

  test('what is refused is not repeated, not even elsewhere', () => {
    expect(walk(['a', 'b'], [{ retryable: false }])).toEqual(['a', 'give up'])
  })

  test('the shortest Retry-After counts, and the back-off where it is larger', () => {
    const asks = (retryAfterMillis: number) => ({ retryable: true, retryAfterMillis })
    expect(walk(['a', 'b'], [asks(9000), asks(3000)])).toEqual(['a', 'b', 3000, 'a'])
    expect(walk(['a'], [asks(10)])).toEqual(['a', 500, 'a'])
  })

  test('a Retry-After beyond the maximum rejects at once, unless another URL asked for nothing', () => {
    const long = { retryable: true, retryAfterMillis: 60_001 }
    expect(walk(['a'], [long])).toEqual(['a', 'give up'])
    expect(walk(['a', 'b'], [long, away])).toEqual(['a', 'b', 500, 'a'])
  })

  test('ends after rounds × URLs attempts, whatever happens', () => {
    const error = fc.record({ retryable: fc.boolean(), retryAfterMillis: fc.nat(100_000) })
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 5 }),
        fc.array(error, { minLength: 15, maxLength: 15 }),
        (count, errors) => {
          const urls = Array.from({ length: count }, (_, k) => `u${k}`)
          const steps = walk(urls, errors)
          expect(steps.at(-1)).toBe('give up')
          expect(steps.filter((step) => urls.includes(String(step))).length).toBeLessThanOrEqual(3 * count)
        },
      ),
    )
  })
})

describe('load balancing', () => {
  const urls = ['http://a', 'http://b', 'http://c']
  const settings = (loadBalancingStrategy: 'affinity' | 'round-robin' | 'session') => ({
    urls,
    loadBalancingStrategy,
    affinityHashRing: 64,
  })

  test('round-robin takes turns and skips the unhealthy', () => {
    const health = createBackendHealth(100)
    const balancer = createLoadBalancer(settings('round-robin'), health)
    const first = () => balancer.candidates('', 0)[0]
    expect([first(), first(), first(), first()]).toEqual(['http://a', 'http://b', 'http://c', 'http://a'])
    health.fail('http://b', 0)
    expect([first(), first(), first()]).toEqual(['http://c', 'http://a', 'http://c'])
  })

  test('session gives URLs out in turn, keeps them, and moves a key for good when its URL fails', () => {
    const health = createBackendHealth(100)
    const balancer = createLoadBalancer(settings('session'), health)
    const first = (key: string, at = 0) => balancer.candidates(key, at)[0]
    expect([first('x'), first('y'), first('z'), first('x')]).toEqual(['http://a', 'http://b', 'http://c', 'http://a'])
    health.fail('http://a', 0)
    expect([first('x', 1), first('x', 500)]).toEqual(['http://b', 'http://b'])
  })

  test('an unhealthy URL is offered again after its time; none healthy means all', () => {
    const health = createBackendHealth(100)
    expect(health.fail('http://a', 0)).toBe(true)
    expect(health.fail('http://a', 10)).toBe(false)
    expect(health.onOffer(urls, 50)).toEqual(['http://b', 'http://c'])
    expect(health.onOffer(urls, 110)).toEqual(urls)
    health.fail('http://b', 120)
    health.fail('http://c', 120)
    health.fail('http://a', 120)
    expect(health.onOffer(urls, 130)).toEqual(urls)
    expect(health.succeed('http://a')).toBe(true)
    expect(health.succeed('http://a')).toBe(false)
    expect(health.onOffer(urls, 130)).toEqual(['http://a'])
  })

  test('who asks to come back is alive', () => {
    const of = (status: number, retryAfterMillis?: number) =>
      errorFromAnswer({
        status,
        statusText: '',
        body: null,
        text: '',
        retryAfterMillis,
        method: 'GET',
        url: 'http://a',
      })
    expect([500, 502, 503, 507].map((status) => marksUnhealthy(of(status)))).toEqual([true, true, true, true])
    expect([500, 503, 507].map((status) => marksUnhealthy(of(status, 1000)))).toEqual([true, false, false])
    expect([400, 404, 429].map((status) => marksUnhealthy(of(status)))).toEqual([false, false, false])
    expect(marksUnhealthy(new QueenTimeoutError(5))).toBe(true)
    expect(marksUnhealthy(new QueenConnectionError('x', { code: 'CONNECTION_FAILED' }))).toBe(true)
    expect(marksUnhealthy(new Error('x'))).toBe(false)
  })
})

test('names are encoded once, null is left out, dots that a URL would swallow are refused', () => {
  expect(segment('a/b?c#d%2F é+')).toBe('a%2Fb%3Fc%23d%252F%20%C3%A9%2B')
  expect(query({ a: 'x y', b: null, c: undefined, d: false, e: 0, f: new Date(0) })).toBe(
    '?a=x%20y&d=false&e=0&f=1970-01-01T00%3A00%3A00.000Z',
  )
  expect(query({})).toBe('')
  expect(() => segment('..')).toThrow("The name '..' cannot be used in a path")
  expect(() => segment('\ud800')).toThrow('not valid Unicode')
})
