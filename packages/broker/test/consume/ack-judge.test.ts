/** What an ack is answered, as a plain function: the rows of the table that only a repeated call can meet. */
import { describe, expect, it } from 'vitest'
import { judgeAck } from '../../src/engine/settle/ack-judge.ts'
import type { AckEntryOutcome } from '../../src/ports/consume-store.ts'

/** A cursor that stands at 5, whose lease of [5, 8) is over; 3 went to the dead letters. */
const over: AckEntryOutcome = {
  state: 'dead',
  ended: false,
  committed: 5,
  dead: [],
  before: { committed: 5, acked: [], leased: [], released: [], releasedFailed: [], dead: [3, 4], gone: [] },
}

describe('a call that is repeated because its answer was lost', () => {
  it('finds what it completed done, and never claims what nobody finished', () => {
    expect(judgeAck('completed', 4, true, over, true)).toEqual({ code: null, dlq: false })
    expect(judgeAck('completed', 5, true, over, true)).toEqual({ code: 'INVALID_LEASE', dlq: false })
    expect(judgeAck('completed', 5, false, over, true)).toEqual({ code: 'NOT_LEASED', dlq: false })
  })

  it('may have sent a message to the dead letters itself; another call has not', () => {
    for (const status of ['dlq', 'failed'] as const) {
      expect(judgeAck(status, 3, false, over, true)).toEqual({ code: null, dlq: true })
      expect(judgeAck(status, 3, true, over, true)).toEqual({ code: null, dlq: true })
      expect(judgeAck(status, 3, false, over, false)).toEqual({ code: 'ALREADY_COMPLETED', dlq: false })
      expect(judgeAck(status, 3, true, over, false)).toEqual({ code: 'INVALID_LEASE', dlq: false })
    }
    expect(judgeAck('retry', 3, false, over, true)).toEqual({ code: 'ALREADY_COMPLETED', dlq: false })
    expect(judgeAck('completed', 3, false, over, true)).toEqual({ code: 'ALREADY_COMPLETED', dlq: false })
  })
})
