/** The routes that are asked rarely: queues, leases, dead letters, maintenance, buffers, health, metrics. */
import { describe, expect, it } from 'vitest'
import type { Engine } from '../../src/engine/engine.ts'
import { Refusal } from '../../src/engine/refusal.ts'
import type { ConfigureRequest, DeadLetterQuery } from '../../src/engine/types.ts'
import { HEALTH, ID, LEASE_ID, MAINTENANCE, NOW, QUEUE, RECORD } from './scripted-engine.ts'
import { startServer } from './test-server.ts'

describe('queues', () => {
  it('are configured with what was sent, null kept apart from absent', async () => {
    let seen: ConfigureRequest | null = null
    const { ask } = await startServer({
      configureQueue: async (request) => {
        seen = request
        return { created: false, queue: QUEUE, partitionId: ID }
      },
    })
    const answer = await ask(
      'POST',
      '/api/v1/configure',
      '{"queue":"orders","namespace":null,"task":"","options":{"leaseTime":0,"retryLimit":null,"priority":-5,"ttl":1},"mode":"replace"}',
    )
    expect(seen).toEqual({
      queue: 'orders',
      namespace: null,
      task: '',
      options: { leaseTime: 0, retryLimit: null, priority: -5, ttl: 1 },
      mode: 'replace',
    })
    expect(answer.json).toMatchObject({
      configured: true,
      created: false,
      queue: 'orders',
      queueId: QUEUE.id,
      partitionId: ID,
    })
    expect(Object.keys(answer.json.options)).toHaveLength(16)
    await ask('POST', '/api/v1/configure', '{"queue":"orders","options":null}')
    expect(seen).toEqual({ queue: 'orders', namespace: null, task: null, options: {}, mode: 'merge' })
  })

  it('are refused with every wrong option named', async () => {
    const { ask } = await startServer()
    const cases: [object, string, unknown][] = [
      [{ options: { leaseTme: 1, x: 2, retryLimit: -1 } }, 'UNKNOWN_OPTION', ['leaseTme', 'x']],
      [
        { options: { retryLimit: -1, priority: 1_001, leaseTime: 1.5, ttl: '5', encryptionEnabled: 1 } },
        'INVALID_OPTION',
        ['retryLimit', 'priority', 'leaseTime', 'ttl', 'encryptionEnabled'],
      ],
      [{ options: { leaseTime: 86_401 } }, 'INVALID_OPTION', ['leaseTime']],
      [{ options: { maxSize: 1e300 } }, 'INVALID_OPTION', ['maxSize']],
    ]
    for (const [fields, code, options] of cases) {
      const answer = await ask('POST', '/api/v1/configure', JSON.stringify({ queue: 'q', ...fields }))
      expect([answer.status, answer.json.code, answer.json.details.options]).toEqual([400, code, options])
    }
    const sentences: string[] = []
    for (const options of [{ retryLimit: -1 }, { encryptionEnabled: 1 }, { retryLimit: -1, priority: 1.5 }]) {
      const answer = await ask('POST', '/api/v1/configure', JSON.stringify({ queue: 'q', options }))
      sentences.push(answer.json.error)
    }
    expect(sentences).toEqual([
      "Queue option 'retryLimit' is not valid: it must be a whole number from 0 to 1000",
      "Queue option 'encryptionEnabled' is not valid: it must be true or false",
      "Queue options 'retryLimit', 'priority' are not valid",
    ])
    const shapes: [object, string, string][] = [
      [{}, 'INVALID_BODY', 'queue'],
      [{ queue: 5 }, 'INVALID_BODY', 'queue'],
      [{ queue: '' }, 'INVALID_NAME', 'queue'],
      [{ queue: 'x'.repeat(256) }, 'INVALID_NAME', 'queue'],
      [{ queue: 'a\u0085' }, 'INVALID_NAME', 'queue'],
      [{ queue: 'q', task: '\ud800' }, 'INVALID_NAME', 'task'],
      [{ queue: 'q', namespace: {} }, 'INVALID_BODY', 'namespace'],
      [{ queue: 'q', options: [] }, 'INVALID_BODY', 'options'],
      [{ queue: 'q', mode: 'both' }, 'INVALID_BODY', 'mode'],
    ]
    for (const [body, code, field] of shapes) {
      const answer = await ask('POST', '/api/v1/configure', JSON.stringify(body))
      expect([body, answer.status, answer.json.code, answer.json.details.field]).toEqual([body, 400, code, field])
    }
  })

  it('are deleted and cleared by decoded name', async () => {
    const calls: unknown[] = []
    const { ask } = await startServer({
      deleteQueue: async (name) => {
        calls.push(name)
        return false
      },
      clearQueue: async (name, partition) => {
        calls.push([name, partition])
        if (name === 'gone') throw new Refusal('QUEUE_NOT_FOUND')
        return { deletedMessages: 3, deletedDeadLetters: 1 }
      },
    })
    expect((await ask('DELETE', '/api/v1/resources/queues/a%2Fb')).json).toEqual({
      deleted: true,
      existed: false,
      queue: 'a/b',
    })
    expect((await ask('DELETE', '/api/v1/queues/a/clear?partition=p')).json).toEqual({
      success: true,
      queue: 'a',
      partition: 'p',
      deletedMessages: 3,
      deletedDeadLetters: 1,
    })
    expect((await ask('DELETE', '/api/v1/queues/gone/clear')).status).toBe(404)
    expect(calls).toEqual(['a/b', ['a', 'p'], ['gone', null]])
  })
})

describe('leases', () => {
  it('are extended by the default without a body, and the three times agree', async () => {
    const asked: number[] = []
    const { ask } = await startServer({
      extendLease: async (leaseId, seconds) => {
        if (leaseId !== LEASE_ID) throw new Refusal('LEASE_NOT_FOUND')
        asked.push(seconds)
        return { expiresAtMs: Date.parse(NOW), partitions: 2 }
      },
    })
    const path = `/api/v1/lease/${LEASE_ID}/extend`
    for (const body of [null, '', '  ', '{}', '{"seconds":5}']) {
      expect((await ask('POST', path, body)).json).toEqual({
        leaseId: LEASE_ID,
        success: true,
        error: null,
        newExpiresAt: NOW,
        expiresAt: NOW,
        lease_expires_at: NOW,
        partitions: 2,
      })
    }
    expect(asked).toEqual([60, 60, 60, 60, 5])
    for (const seconds of [0, -5, 86_401, 1.5, '"5"', 'null', 1e300]) {
      const answer = await ask('POST', path, `{"seconds":${seconds}}`)
      expect([seconds, answer.status, answer.json.code]).toEqual([seconds, 400, 'INVALID_BODY'])
    }
    for (const id of ['gone', 'x'.repeat(65), '%00', 'a%20b']) {
      const answer = await ask('POST', `/api/v1/lease/${id}/extend`, '{}')
      expect([id, answer.status, answer.json.code]).toEqual([id, 404, 'LEASE_NOT_FOUND'])
    }
  })
})

describe('dead letters', () => {
  it('are listed with their bytes and with the paging in force', async () => {
    let seen: DeadLetterQuery | null = null
    const { ask } = await startServer()
    const answer = await ask('GET', '/api/v1/dlq')
    expect(answer.text).toContain('"data":{"b":1, "a":12345678901234567890123, "ü":"é"}')
    expect(answer.json.total).toBe(1)
    expect(answer.json.pagination).toEqual({ limit: 100, offset: 0, hasMore: false, next: null })
    const spy = await startServer({
      listDeadLetters: async (query) => {
        seen = query
        return { rows: [], total: 0, limit: query.limit, offset: query.offset, hasMore: false, next: null }
      },
    })
    await spy.ask(
      'GET',
      '/api/v1/dlq?queue=q&partition=p&consumerGroup=g&from=2026-11-01&to=2026-11-02&limit=5000&offset=3&after=xyz',
    )
    expect(seen).toEqual({
      queue: 'q',
      partition: 'p',
      consumerGroup: 'g',
      from: '2026-11-01T00:00:00.000000Z',
      to: '2026-11-02T23:59:59.999999Z',
      limit: 1_000,
      offset: 3,
      after: 'xyz',
    })
    expect((await spy.ask('GET', '/api/v1/dlq?from=soon')).json.code).toBe('INVALID_TIMESTAMP')
  })
})

describe('maintenance', () => {
  it('is switched without any header and shows what the engine shows', async () => {
    const calls: unknown[] = []
    const { ask } = await startServer({
      setMaintenance: async (enabled, reason, by) => {
        calls.push([enabled, reason, by])
        return { ...MAINTENANCE, maintenanceMode: enabled }
      },
    })
    expect((await ask('GET', '/api/v1/system/maintenance')).json).toEqual(MAINTENANCE)
    expect((await ask('POST', '/api/v1/system/maintenance', '{"enabled": true}')).json.maintenanceMode).toBe(true)
    await ask('POST', '/api/v1/system/maintenance', '{"enabled": false, "reason": "done"}')
    expect(calls).toEqual([
      [true, null, null],
      [false, 'done', null],
    ])
    for (const path of ['/api/v1/system/maintenance', '/api/v1/system/maintenance/pop']) {
      for (const body of [
        '{}',
        '{"enabled":"true"}',
        '{"enabled":1}',
        '{"enabled":null}',
        '{"enabled":true,"reason":5}',
        `{"enabled":true,"reason":"${'x'.repeat(501)}"}`,
      ]) {
        const answer = await ask('POST', path, body)
        expect([body, answer.status, answer.json.code]).toEqual([body, 400, 'INVALID_BODY'])
      }
    }
    expect((await ask('POST', '/api/v1/system/maintenance/pop', '{"enabled":true,"reason":"x"}')).json).toEqual({
      popMaintenanceMode: true,
      since: NOW,
      reason: 'x',
      message: 'Paused.',
    })
    const history = await ask('GET', '/api/v1/system/maintenance/history?limit=2&offset=1')
    expect(history.json.pagination).toMatchObject({ limit: 2, offset: 1 })
  })

  it('answers a pending switch 503 with its blockers and no word of a time limit', async () => {
    const blockers = [{ ...MAINTENANCE.blockers[0], hostname: 'timeout-host' }]
    const { ask } = await startServer({
      setMaintenance: () =>
        Promise.reject(
          new Refusal('MAINTENANCE_PENDING', 'Writes Timed Out', {
            details: { phase: 'maintenance', safeToMigrate: false, blockers },
          }),
        ),
    })
    const answer = await ask('POST', '/api/v1/system/maintenance', '{"enabled":true}')
    expect([answer.status, answer.json.code, answer.json.details.safeToMigrate]).toEqual([
      503,
      'MAINTENANCE_PENDING',
      false,
    ])
    expect(answer.text).not.toMatch(/timeout|timed out|deadline exceeded/i)
    expect(answer.json.error).toContain('connection refused')
    expect(answer.json.error).toContain('ECONNREFUSED')
  })
})

describe('buffers', () => {
  it('show pending records, unknown sums as null', async () => {
    const { ask } = await startServer()
    expect((await ask('GET', '/api/v1/status/buffers')).json).toEqual({
      pending: 0,
      failed: 0,
      dbHealthy: true,
      worker: 'q-1',
      phase: 'normal',
      bufferedMessages: null,
      bufferedBytes: 0,
      oldestBufferedAt: NOW,
      quarantinedMessages: 0,
      diskFreeBytes: 1_000,
      capacityBytes: 2_000,
    })
  })

  it('list quarantined records with payload or raw bytes', async () => {
    const damaged = { ...RECORD, payload: null, rawBase64: 'AAEC' }
    const { ask } = await startServer({
      listQuarantine: async ({ limit, offset }) => ({
        rows: [RECORD, damaged],
        total: 2,
        limit,
        offset,
        hasMore: false,
        next: null,
      }),
    })
    const answer = await ask('GET', '/api/v1/system/buffers/quarantine')
    expect(answer.text).toContain('"payload":{"big":12345678901234567890123}')
    expect([
      answer.json.records[0].rawBase64,
      answer.json.records[1].payload,
      answer.json.records[1].rawBase64,
    ]).toEqual([undefined, undefined, 'AAEC'])
  })

  it('retry and drop quarantined records', async () => {
    const overrides: unknown[] = []
    const base = (await import('./scripted-engine.ts')).scriptedEngine()
    const script: Partial<Engine> = {
      retryQuarantined: async (id, given) => {
        overrides.push([id, given.queue, given.partition, given.payload?.toString() ?? null])
        return base.retryQuarantined(id, given)
      },
      dropQuarantined: () => Promise.reject(new Refusal('INSTANCE_NOT_LIVE')),
    }
    const { ask } = await startServer(script)
    const path = '/api/v1/system/buffers/quarantine/r%2F1/retry'
    const answer = await ask('POST', path)
    expect(answer.json).toEqual({
      success: true,
      id: 'r/1',
      status: 'queued',
      queueName: 'orders',
      partition: 'p7',
      transactionId: 't',
      messageId: ID,
    })
    await ask('POST', path, ' \r\n')
    await ask('POST', path, '{"queue":"a","partition":null,"payload":{"n": 1.0}}')
    expect(overrides).toEqual([
      ['r/1', null, null, null],
      ['r/1', null, null, null],
      ['r/1', 'a', null, '{"n": 1.0}'],
    ])
    const cases: [string, string][] = [
      ['{"queue":""}', 'INVALID_NAME'],
      ['{"queue":5}', 'INVALID_BODY'],
      ['{"payload":"\\u0000"}', 'INVALID_PAYLOAD'],
    ]
    for (const [body, code] of cases) expect((await ask('POST', path, body)).json.code).toBe(code)
    const dropped = await ask('DELETE', '/api/v1/system/buffers/quarantine/r')
    expect([dropped.status, dropped.json.code]).toEqual([409, 'INSTANCE_NOT_LIVE'])
  })
})

describe('health', () => {
  it('is 200 while pushes are accepted and 503 NOT_READY with the same body otherwise', async () => {
    for (const status of ['healthy', 'degraded', 'unhealthy'] as const) {
      const { ask } = await startServer({ health: () => ({ ...HEALTH, status, ready: status !== 'unhealthy' }) })
      const answer = await ask('GET', '/health')
      expect([answer.status, answer.json.status, answer.json.version, answer.json.code]).toEqual(
        status === 'unhealthy' ? [503, status, '9.9.9', 'NOT_READY'] : [200, status, '9.9.9', undefined],
      )
      const ready = await ask('GET', '/health/ready')
      expect([ready.status, ready.json.accepts]).toEqual(status === 'unhealthy' ? [503, undefined] : [200, 'direct'])
      expect((await ask('GET', '/health/live')).json).toEqual({ status: 'ok' })
    }
  })

  it('says what an operator should see to, for people and for alerts', async () => {
    const warnings = [{ code: 'WRONG_ENCRYPTION_KEY', message: 'It is another key' }] as const
    const { ask } = await startServer({ health: () => ({ ...HEALTH, warnings }) })
    expect((await ask('GET', '/health')).json.warnings).toEqual(warnings)
    expect((await ask('GET', '/metrics/prometheus')).text).toContain('queen_warning{code="WRONG_ENCRYPTION_KEY"} 1')
    const well = await startServer()
    expect((await well.ask('GET', '/health')).json.warnings).toEqual([])
    expect((await well.ask('GET', '/metrics/prometheus')).text).toContain(
      'queen_warning{code="WRONG_ENCRYPTION_KEY"} 0',
    )
  })
})

describe('metrics', () => {
  it('count what was asked, as JSON and for Prometheus', async () => {
    const { ask } = await startServer({}, { metrics: { metrics: async () => '\nqueen_more 1\n' } })
    await ask('POST', '/api/v1/push', '{"items":[]}')
    await ask('GET', '/nowhere')
    const { json } = await ask('GET', '/metrics')
    expect(json.requests.total).toBeGreaterThanOrEqual(2)
    expect(json.messages).toEqual({ total: 7, rate: 0.5 })
    expect(json.database).toEqual({ poolSize: 4, idleConnections: 3, waitingRequests: 0 })
    const { headers, text } = await ask('GET', '/metrics/prometheus')
    expect(headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8')
    expect(text).toContain('queen_http_requests_total{method="POST",route="/api/v1/push",status="201"} 1')
    expect(text).toContain('queen_http_requests_total{method="other",route="unmatched",status="404"} 1')
    expect(text).toMatch(/queen_http_request_seconds_bucket\{.*le="\+Inf".*\} 1/)
    expect(text).toContain('queen_maintenance_phase{phase="normal"} 1')
    expect(text).toContain('queen_db_pool_active 1')
    expect(text).not.toContain('queen_buffer_oldest_seconds 0')
    expect(text).toContain('queen_more 1')
    expect(text).toContain('queen_buffer_drained_total 12')
    expect(text).toContain('queen_buffer_drain_messages_per_second 3.5')
    expect(text).toContain('queen_buffer_fsync_seconds_bucket{le="0.1"} 3')
    expect(text).toContain('queen_buffer_fsync_seconds_bucket{le="+Inf"} 4')
    expect(text).toContain('queen_buffer_fsync_seconds_sum 0.25')
    expect(text).toContain('queen_file_buffer_failed 0')
    expect(Number(/^queen_maintenance_since_seconds (.*)$/m.exec(text)![1])).toBeGreaterThanOrEqual(60)
    // Unknown is left out: it must not look like 0.
    const buffer = { ...HEALTH.buffer, quarantinedMessages: null }
    const deaf = await startServer({ health: () => ({ ...HEALTH, buffer }) })
    expect((await deaf.ask('GET', '/metrics/prometheus')).text).not.toMatch(/^queen_file_buffer_failed/m)
    expect((await deaf.ask('GET', '/health')).json.buffer.quarantinedMessages).toBeNull()
  })
})
