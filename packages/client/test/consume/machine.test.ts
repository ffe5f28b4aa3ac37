/** The worker's state machine: scenarios, and what holds whatever is dropped, doubled or swapped. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  begin,
  type Effect,
  type Step,
  TABLE,
  transition,
  type WorkerEvent,
  type WorkerPlan,
} from '../../src/consume/machine.ts'

const plan: WorkerPlan = { each: true, batch: 3, limit: null, idleMillis: null, wait: true, timeoutMillis: 1000 }

function replay(events: readonly WorkerEvent[], changes: Partial<WorkerPlan> = {}): { last: Step; effects: Effect[] } {
  const own = { ...plan, ...changes }
  let last = begin(own, 0)
  const effects = [...last.effects]
  for (const event of events) {
    last = transition(own, last.state, event)
    effects.push(...last.effects)
  }
  return { last, effects }
}

const names = (effects: readonly Effect[]) => effects.map((effect) => effect.do)
const messages = (count: number, at = 0): WorkerEvent => ({ type: 'messages', count, at })
const returned = (at = 0): WorkerEvent => ({ type: 'returned', at, verdict: 'completed' })
const failed = (at = 0): WorkerEvent => ({ type: 'threw', at, verdict: 'failed', error: 'x', jitter: 0 })
const settled = (at = 0): WorkerEvent => ({ type: 'settled', at })
const stop: WorkerEvent = { type: 'stop', reason: 'aborted' }

describe('scenarios', () => {
  test('each: one at a time, settled before the next is handed out, then the next poll', () => {
    const { effects, last } = replay([messages(2), returned(), settled(), failed(), settled()])
    expect(effects).toEqual([
      { do: 'poll', batch: 3, timeoutMillis: 1000 },
      { do: 'hand-out', from: 0, to: 1 },
      { do: 'settle', from: 0, to: 1, verdict: 'completed' },
      { do: 'hand-out', from: 1, to: 2 },
      { do: 'settle', from: 1, to: 2, verdict: 'failed', error: 'x' },
      { do: 'put-down' },
      { do: 'poll', batch: 3, timeoutMillis: 1000 },
    ])
    expect(last.state).toMatchObject({ processed: 1, failed: 1 })
  })

  test('batch: all at once, settled at once', () => {
    const { effects } = replay([messages(3), returned(), settled()], { each: false })
    expect(effects.slice(1, 3)).toEqual([
      { do: 'hand-out', from: 0, to: 3 },
      { do: 'settle', from: 0, to: 3, verdict: 'completed' },
    ])
  })

  test('limit: each pops no more than are left, batch mode may pass it', () => {
    expect(
      replay([messages(3), returned(), settled(), returned(), settled(), returned(), settled()], {
        limit: 4,
      }).effects.at(-1),
    ).toEqual({ do: 'poll', batch: 1, timeoutMillis: 1000 })
    expect(names(replay([messages(3), returned(), settled()], { each: false, limit: 2 }).effects).slice(-2)).toEqual([
      'put-down',
      'end',
    ])
  })

  test('limit in the middle of a batch: the rest is released', () => {
    const { effects } = replay([messages(3), returned(), settled(), settled()], { limit: 1 })
    expect(effects.slice(3)).toEqual([
      { do: 'settle', from: 1, to: 3, verdict: 'retry' },
      { do: 'put-down' },
      { do: 'end' },
    ])
  })

  test('idle: polls are cut to the time left; it counts from the end of the last handling', () => {
    const idle = { idleMillis: 1500 }
    expect(replay([{ type: 'empty', at: 1000 }], idle).effects.at(-1)).toMatchObject({ do: 'poll', timeoutMillis: 500 })
    const ended = replay(
      [
        { type: 'empty', at: 1000 },
        { type: 'empty', at: 1500 },
      ],
      idle,
    )
    expect(ended.last.state).toMatchObject({ phase: 'stopped', stop: 'idle' })
    const busy = replay([messages(1, 1000), returned(2000), settled(2001), { type: 'empty', at: 3001 }], idle)
    expect(busy.effects.at(-1)).toMatchObject({ do: 'poll', timeoutMillis: 499 })
  })

  test('answers that come too early are followed by a growing pause, others by the next poll', () => {
    const early: WorkerEvent[] = []
    for (let k = 0; k < 6; k++) early.push({ type: 'empty', at: 0 }, { type: 'timer', at: 0 })
    const waits = replay(early).effects.filter((effect) => effect.do === 'wait')
    expect(waits.map((wait) => wait.millis)).toEqual([100, 200, 400, 800, 1000, 1000])
    const answered = replay([...early, messages(1), returned(), settled(), { type: 'empty', at: 0 }])
    expect(answered.effects.at(-1)).toEqual({ do: 'wait', millis: 100 })
    expect(names(replay([{ type: 'empty', at: 250 }]).effects)).toEqual(['poll', 'poll'])
    expect(replay([{ type: 'empty', at: 0 }], { wait: false }).effects.at(-1)).toEqual({ do: 'wait', millis: 100 })
    expect(replay([{ type: 'empty', at: 0, retryAfterMillis: 900 }]).effects.at(-1)).toEqual({
      do: 'wait',
      millis: 900,
    })
  })

  test('transient errors are waited out for ever, doubled to 30 s, Retry-After honoured, reset by an answer', () => {
    const events: WorkerEvent[] = []
    for (let k = 0; k < 8; k++) events.push({ type: 'transient', at: 0, jitter: 0.999 }, { type: 'timer', at: 0 })
    const waits = replay(events)
      .effects.filter((effect) => effect.do === 'wait')
      .map((wait) => Math.round(wait.millis / 1000))
    expect(waits).toEqual([1, 2, 4, 8, 16, 30, 30, 30])
    for (const answer of [[{ type: 'empty', at: 900 } as const], [messages(1, 900), returned(900), settled(900)]]) {
      const reset = replay([...events, ...answer, { type: 'transient', at: 900, jitter: 0 }])
      expect(reset.effects.at(-1)).toEqual({ do: 'wait', millis: 500 })
    }
    expect(replay([{ type: 'transient', at: 0, jitter: 0, retryAfterMillis: 7000 }]).effects.at(-1)).toEqual({
      do: 'wait',
      millis: 7000,
    })
  })

  test('a fatal poll error ends; a fatal handler error releases the rest and ends', () => {
    expect(replay([{ type: 'fatal', at: 0, error: 'no' }]).last.state).toMatchObject({
      phase: 'stopped',
      error: { value: 'no' },
    })
    const { effects, last } = replay([messages(3), { type: 'fatal', at: 0, error: 'no' }, settled(), settled()])
    expect(effects.slice(2)).toEqual([
      { do: 'settle', from: 0, to: 1, verdict: 'none' },
      { do: 'settle', from: 1, to: 3, verdict: 'retry' },
      { do: 'put-down' },
      { do: 'end' },
    ])
    expect(last.state.error).toEqual({ value: 'no' })
  })

  test('Queen away under a handler: this message and the rest are released, then a pause that grows', () => {
    const away: WorkerEvent = { type: 'threw', at: 0, verdict: 'retry', error: 'e', jitter: 0 }
    const { effects } = replay([messages(3), away, settled(), { type: 'timer', at: 0 }, messages(1), away, settled()])
    expect(effects[2]).toEqual({ do: 'settle', from: 0, to: 3, verdict: 'retry', error: 'e' })
    expect(effects.filter((effect) => effect.do === 'wait')).toEqual([
      { do: 'wait', millis: 500 },
      { do: 'wait', millis: 1000 },
    ])
  })

  test('the pause after an outage under a handler is short again once a handler ended without one', () => {
    const away: WorkerEvent[] = [
      messages(1),
      { type: 'threw', at: 0, verdict: 'retry', error: 'e', jitter: 0 },
      settled(),
      { type: 'timer', at: 0 },
    ]
    const waitsAfter = (ended: WorkerEvent) =>
      replay([...away, ...away, messages(1), ended, settled(), ...away]).effects.flatMap((effect) =>
        effect.do === 'wait' ? [effect.millis] : [],
      )
    expect([waitsAfter(returned()), waitsAfter(failed())]).toEqual([
      [500, 1000, 500],
      [500, 1000, 500],
    ])
  })

  test('idle: no pause is longer than the time left, and none is begun when it is over', () => {
    const idle = { idleMillis: 1500 }
    expect(replay([{ type: 'transient', at: 1100, jitter: 0 }], idle).effects.at(-1)).toEqual({
      do: 'wait',
      millis: 400,
    })
    expect(replay([{ type: 'empty', at: 0, retryAfterMillis: 9000 }], idle).effects.at(-1)).toEqual({
      do: 'wait',
      millis: 1500,
    })
    expect(replay([{ type: 'transient', at: 1500, jitter: 0 }], idle).last.state).toMatchObject({
      phase: 'stopped',
      stop: 'idle',
    })
  })

  test('stop: a poll and a wait are called off, a handler ends first and what was not handed out is released', () => {
    expect(names(replay([stop]).effects)).toEqual(['poll', 'cancel-poll', 'end'])
    expect(names(replay([{ type: 'empty', at: 0 }, stop]).effects).slice(-2)).toEqual(['cancel-wait', 'end'])
    const { effects } = replay([messages(3), stop, returned(), settled(), settled()])
    expect(effects.slice(2)).toEqual([
      { do: 'tell-stopping' },
      { do: 'settle', from: 0, to: 1, verdict: 'completed' },
      { do: 'settle', from: 1, to: 3, verdict: 'retry' },
      { do: 'put-down' },
      { do: 'end' },
    ])
  })

  test('lease lost: told once, the rest is neither handed out nor released', () => {
    const { effects } = replay([messages(3), { type: 'lease-lost' }, { type: 'lease-lost' }, returned(), settled()])
    expect(names(effects).slice(2)).toEqual(['tell-lease-lost', 'settle', 'put-down', 'poll'])
  })

  test('lease lost: the next batch is handed out and released as any other', () => {
    const lost: WorkerEvent[] = [messages(1), { type: 'lease-lost' }, returned(), settled()]
    expect(names(replay([...lost, messages(2), returned(), settled()]).effects).at(-1)).toBe('hand-out')
    expect(replay([...lost, messages(2), stop, returned(), settled()]).effects.at(-1)).toEqual({
      do: 'settle',
      from: 1,
      to: 2,
      verdict: 'retry',
    })
  })

  test('messages that come after the end are given back', () => {
    expect(names(replay([stop, messages(2)]).effects).at(-1)).toBe('release-stray')
  })
})

test('the table is total', () => {
  const events = Object.keys(TABLE.polling)
  for (const [phase, row] of Object.entries(TABLE)) expect(Object.keys(row).sort(), phase).toEqual([...events].sort())
})

describe('whatever is dropped, doubled or swapped', () => {
  const event: fc.Arbitrary<WorkerEvent> = fc.oneof(
    fc.integer({ min: 1, max: 4 }).map((count) => messages(count)),
    fc.nat(2000).map((at): WorkerEvent => ({ type: 'empty', at })),
    fc.nat(2000).map((at): WorkerEvent => ({ type: 'transient', at, jitter: 0.5 })),
    fc.constant<WorkerEvent>({ type: 'fatal', at: 0, error: 'fatal' }),
    fc.nat(2000).map(returned),
    fc.nat(2000).map(failed),
    fc.constant<WorkerEvent>({ type: 'threw', at: 0, verdict: 'retry', error: 'away', jitter: 0.5 }),
    fc.constant<WorkerEvent>({ type: 'lease-lost' }),
    fc.nat(2000).map(settled),
    fc.nat(2000).map((at): WorkerEvent => ({ type: 'timer', at })),
    fc.constant(stop),
  )
  const plans = fc.record({
    each: fc.boolean(),
    batch: fc.constant(4),
    limit: fc.option(fc.integer({ min: 1, max: 6 })),
    idleMillis: fc.option(fc.integer({ min: 1, max: 3000 })),
    wait: fc.boolean(),
    timeoutMillis: fc.constant(1000),
  })

  test('one thing at a time, nothing handed out twice or after stop, nothing left unreleased, one end', () => {
    fc.assert(
      fc.property(plans, fc.array(event, { maxLength: 60, size: 'max' }), (own, events) => {
        let step = begin(own, 0)
        let handedTo = 0
        let settledTo = 0
        let size = 0
        let stopped = false
        let lost = false
        let ends = 0
        const check = (effects: readonly Effect[]) => {
          for (const effect of effects) {
            expect(ends).toBe(effect.do === 'release-stray' ? ends : 0)
            if (effect.do === 'hand-out') {
              expect(effect.from).toBe(handedTo)
              expect(stopped).toBe(false)
              handedTo = effect.to
            }
            if (effect.do === 'settle') {
              expect(effect.from).toBe(settledTo)
              expect(effect.to).toBeGreaterThan(effect.from)
              settledTo = effect.to
            }
            if (effect.do === 'put-down') {
              expect(lost || settledTo === size).toBe(true)
              handedTo = 0
              settledTo = 0
              size = 0
              lost = false
            }
            if (effect.do === 'poll') expect([size, effect.batch > 0]).toEqual([0, true])
            if (effect.do === 'wait') expect(effect.millis).toBeGreaterThan(0)
            if (effect.do === 'end') ends++
          }
        }
        check(step.effects)
        for (const one of events) {
          const phase = step.state.phase
          if (phase === 'polling' && one.type === 'messages') size = one.count
          if ((phase === 'handling' || phase === 'settling') && one.type === 'lease-lost') lost = true
          if (one.type === 'stop') stopped = true
          step = transition(own, step.state, one)
          check(step.effects)
        }
        expect(step.state.phase === 'stopped').toBe(ends === 1)
      }),
      { numRuns: 2000 },
    )
  })

  test('an event of another state changes nothing, except that strays are given back', () => {
    for (const late of [
      returned(),
      failed(),
      settled(),
      { type: 'timer', at: 0 } as const,
      { type: 'lease-lost' } as const,
    ]) {
      const { last } = replay([])
      expect(transition(plan, last.state, late)).toEqual({ state: last.state, effects: [] })
    }
  })
})
