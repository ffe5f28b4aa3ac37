/** One batch of lines to the broker, and the verdict on each of them. */
import { isQueenError, type PushItemResult, type Queen, QueenPushError } from '@queen/client'
import { type PushLine, partitionOf } from './push-line.ts'

export type PushCounts = Record<'queued' | 'buffered' | 'duplicate' | 'failed', number>

export interface Refusal {
  readonly line: number
  readonly error: string
  readonly code: string
}

export interface BatchOutcome {
  readonly counts: PushCounts
  readonly refusals: readonly Refusal[]
}

export function noCounts(): PushCounts {
  return { queued: 0, buffered: 0, duplicate: 0, failed: 0 }
}

/** Rejects when the broker gave no verdict on the items. */
export async function sendLines(
  queen: Queen,
  queue: string,
  lines: readonly PushLine[],
  signal: AbortSignal,
): Promise<BatchOutcome> {
  const results = await resultsOf(queen, queue, lines, signal)
  const counts = noCounts()
  const refusals: Refusal[] = []
  for (const [index, line] of lines.entries()) {
    const result = results.find((each) => each.index === index)
    const status = result?.status ?? 'failed'
    counts[status]++
    if (status !== 'failed') continue
    refusals.push({
      line: line.line,
      error: result?.error ?? 'the broker gave no verdict',
      code: result?.code ?? 'INVALID_ANSWER',
    })
  }
  return { counts, refusals }
}

async function resultsOf(
  queen: Queen,
  queue: string,
  lines: readonly PushLine[],
  signal: AbortSignal,
): Promise<readonly PushItemResult[]> {
  const items = lines.map((line) => line.item)
  try {
    return await queen
      .queue<unknown>(queue)
      .partitionBy((_data, index) => partitionOf(lines[index]!))
      .push(items, { signal })
  } catch (error) {
    if (error instanceof QueenPushError) return error.results
    // Where not one item is acceptable the whole request is refused, with a verdict on each item inside.
    const results = isQueenError(error) ? (error.details as { results?: unknown } | undefined)?.results : undefined
    if (Array.isArray(results)) return results as PushItemResult[]
    throw error
  }
}
