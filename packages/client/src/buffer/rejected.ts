/** Messages the broker refused for good: all are counted, the first 1000 are kept with their payload for the report. */
import type { PushedItem } from '../types/push.ts'

const KEPT_MAX = 1_000

export class RejectedItems {
  readonly items: PushedItem[] = []
  count = 0

  add(items: readonly PushedItem[]): void {
    this.count += items.length
    this.items.push(...items.slice(0, Math.max(0, KEPT_MAX - this.items.length)))
  }
}
