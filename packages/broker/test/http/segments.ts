/** Segments made by hand, as the engine would have read them. */
import { FrameFlag, frameBytes, writeFrame } from '../../src/engine/format/frame.ts'
import type { DecodedSegment } from '../../src/engine/types.ts'

export interface HandMade {
  readonly transactionId: string
  readonly payload: string | Buffer
  readonly traceId?: string
  readonly producerSub?: string
  readonly flags?: number
}

export const ID_BASE = '01a20868-a490-7000-bc72-2f8f4dbd8c4d'

export function segmentOf(messages: readonly HandMade[], idBase = ID_BASE): DecodedSegment {
  const starts = new Uint32Array(messages.length + 1)
  const frames = messages.map(({ transactionId, payload, traceId, producerSub, flags = 0 }, i) => {
    const content = {
      flags,
      transactionId: Buffer.from(transactionId),
      traceId: traceId === undefined ? null : Buffer.from(traceId.replaceAll('-', ''), 'hex'),
      producerSub: producerSub === undefined ? null : Buffer.from(producerSub),
      payload: Buffer.from(payload),
    }
    const frame = Buffer.alloc(frameBytes(content))
    writeFrame(frame, 0, content)
    starts[i + 1] = starts[i]! + frame.length
    return frame
  })
  const joined = Buffer.concat(frames)
  return {
    partitionId: '8f7e6d5c-4b3a-4291-8e7f-2d9c5b8a3e10',
    firstOffset: 100,
    lastOffset: 100 + messages.length - 1,
    createdAt: '2026-11-23T12:36:45.333217Z',
    idBase,
    frames: joined,
    starts,
  }
}

export { FrameFlag }
