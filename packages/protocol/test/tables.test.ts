import { Compile } from 'typebox/compile'
import { describe, expect, test } from 'vitest'
import { ERRORS, ITEM_ERRORS, LIMITS, PushRequestSchema, QUEUE_OPTIONS } from '../src/index.ts'

describe('the error table', () => {
  test('exactly 429, 500, 503 and 507 are worth repeating', () => {
    for (const [code, { status, retryable }] of Object.entries(ERRORS)) {
      expect(retryable, code).toBe([429, 500, 503, 507].includes(status))
    }
  })

  test('every 503 has the words that keep older consumers alive, and none that end them', () => {
    for (const [code, { status, message }] of Object.entries(ERRORS)) {
      if (status === 503) {
        expect(message, code).toContain('connection refused')
        expect(message, code).toContain('ECONNREFUSED')
      }
      expect(message, code).not.toMatch(/timeout|timed out|deadline exceeded/i)
    }
  })

  test('item refusals are no HTTP errors', () => {
    for (const code of Object.keys(ITEM_ERRORS)) expect(Object.keys(ERRORS)).not.toContain(code)
  })
})

describe('queue options', () => {
  test('are the sixteen of the contract, each default inside its range', () => {
    expect(Object.keys(QUEUE_OPTIONS).length).toBe(16)
    for (const [name, spec] of Object.entries(QUEUE_OPTIONS)) {
      if (spec.type === 'boolean') continue
      expect(spec.default >= spec.min && spec.default <= spec.max && Number.isSafeInteger(spec.max), name).toBe(true)
    }
    expect([
      QUEUE_OPTIONS.leaseTime.default,
      QUEUE_OPTIONS.retryDelay.default,
      QUEUE_OPTIONS.dedupWindowSeconds.default,
    ]).toEqual([300, 0, 3600])
  })
})

describe('the schema of a push', () => {
  test('accepts what the contract shows and refuses other shapes', () => {
    const validator = Compile(PushRequestSchema)
    const good = {
      items: [{ queue: 'q', partition: null, payload: { a: 1 }, transactionId: '', traceId: null, more: 1 }],
      bufferMs: 10,
    }
    expect(validator.Check(good)).toBe(true)
    for (const bad of [
      {},
      { items: null },
      { items: [3] },
      { items: [{}] },
      { items: [{ queue: '' }] },
      { items: [], bufferMs: LIMITS.bufferMsMax + 1 },
    ]) {
      expect(validator.Check(bad), JSON.stringify(bad)).toBe(false)
    }
  })
})
