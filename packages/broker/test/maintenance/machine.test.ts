/** The table of maintenance as data: total, and right also when an event is lost, doubled or comes in another order. */
import { describe, expect, it } from 'vitest'
import {
  DRAINS,
  MAINTENANCE_TABLE,
  type MaintenanceEvent,
  type MaintenanceState,
  nextState,
  WRITE_MODE,
} from '../../src/engine/maintenance/maintenance-machine.ts'

const STATES = Object.keys(MAINTENANCE_TABLE) as MaintenanceState[]
const EVENTS = ['on', 'drain', 'off', 'lost', 'empty', 'late'] as const satisfies MaintenanceEvent[]

const pairs = STATES.flatMap((state) => EVENTS.map((event) => ({ state, event, next: nextState(state, event) })))

describe('the table', () => {
  it('has a known next state for every pair', () => {
    for (const { next } of pairs) expect(STATES).toContain(next)
    expect(pairs).toHaveLength(7 * 6)
  })

  it('G5 goes to the window from everywhere, and leaves it only when PostgreSQL says that it is over', () => {
    for (const { event, next, state } of pairs) {
      if (event === 'on') expect(next).toBe('window')
      if (state === 'window' && next !== 'window') expect(['off', 'drain']).toContain(event)
    }
  })

  it('G11 begins to drain only when PostgreSQL said so', () => {
    for (const { event, next, state } of pairs)
      if (DRAINS[next] !== false && DRAINS[state] === false) expect(['off', 'drain']).toContain(event)
  })

  it('G4 writes directly only after the buffer was found empty behind a closed gate', () => {
    for (const { event, next, state } of pairs) {
      if (next !== 'direct' || state === 'direct') continue
      expect({ state, event }).toEqual({ state: 'gate', event: 'empty' })
      expect(WRITE_MODE[state]).toBe('held')
    }
  })

  it('holds pushes only in states that a `late` or an answer ends', () => {
    for (const state of STATES) {
      if (WRITE_MODE[state] !== 'held') continue
      expect(WRITE_MODE[nextState(state, 'late')]).toBe('buffer')
      expect(WRITE_MODE[nextState(state, 'lost')]).toBe('buffer')
    }
  })
})

const SCENARIOS: Record<string, readonly MaintenanceEvent[]> = {
  'a window': ['on', 'drain', 'empty', 'off', 'empty'],
  'a window with an outage in it': ['on', 'lost', 'drain', 'lost', 'drain', 'empty', 'off', 'empty'],
  'enabled again while draining': ['on', 'drain', 'on', 'drain', 'empty', 'on', 'drain', 'empty', 'off', 'empty'],
  'a barrier in vain': ['on', 'drain', 'empty', 'late', 'empty', 'off', 'empty'],
  'an outage': ['lost', 'off', 'empty', 'late', 'empty', 'empty'],
  'a window that begins in an outage': ['lost', 'on', 'drain', 'empty', 'off', 'empty'],
  'left behind by the cluster': ['on', 'drain', 'off', 'empty', 'empty'],
}

/** The scenario with one event dropped, doubled, or swapped with the next. */
function* disturbed(events: readonly MaintenanceEvent[]): Generator<MaintenanceEvent[]> {
  for (let i = 0; i < events.length; i++) {
    yield events.toSpliced(i, 1)
    yield events.toSpliced(i, 0, events[i]!)
    if (i + 1 < events.length) yield events.toSpliced(i, 2, events[i + 1]!, events[i]!)
  }
}

/** What PostgreSQL said last. */
function follow(events: readonly MaintenanceEvent[]): MaintenanceState {
  let state: MaintenanceState = 'direct'
  let said: 'on' | 'drain' | 'off' = 'off'
  for (const event of events) {
    state = nextState(state, event)
    if (event === 'on' || event === 'drain' || event === 'off') said = event
    if (said === 'on') expect(state).toBe('window')
    if (said === 'drain') expect(state).not.toBe('direct')
  }
  return state
}

describe.each(Object.entries(SCENARIOS))('%s', (_, events) => {
  it('ends in normal', () => {
    expect(follow(events)).toBe('direct')
  })

  it('never writes past a switch that is on or draining, and ends in normal once the switch is read again', () => {
    for (const sequence of disturbed(events)) {
      expect(follow([...sequence, 'off', 'empty', 'empty', 'off', 'empty', 'empty']), sequence.join(' ')).toBe('direct')
    }
  })
})
