/**
 * Things that wake at a time, earliest first. A binary heap; entries are never removed early. Whoever takes one checks
 * that it still means something (see the ticket in PartitionState), which is cheaper than finding it in the heap.
 */
export interface Wake<Item> {
  readonly atMs: number
  readonly ticket: number
  readonly item: Item
}

export class WakeHeap<Item> {
  readonly #heap: Wake<Item>[] = []

  get size(): number {
    return this.#heap.length
  }

  get nextMs(): number {
    return this.#heap[0]?.atMs ?? Number.POSITIVE_INFINITY
  }

  push(wake: Wake<Item>): void {
    const heap = this.#heap
    let at = heap.length
    heap.push(wake)
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (heap[parent]!.atMs <= wake.atMs) break
      heap[at] = heap[parent]!
      at = parent
    }
    heap[at] = wake
  }

  /** Takes the earliest that is due, or null. */
  take(nowMs: number): Wake<Item> | null {
    const heap = this.#heap
    const first = heap[0]
    if (first === undefined || first.atMs > nowMs) return null
    const last = heap.pop()!
    if (heap.length > 0) this.#sink(last)
    return first
  }

  /** Keeps only what `wanted` accepts; called by the owner when most entries have lost their meaning. */
  prune(wanted: (wake: Wake<Item>) => boolean): void {
    const kept = this.#heap.filter(wanted)
    this.#heap.length = 0
    for (const wake of kept) this.push(wake)
  }

  #sink(last: Wake<Item>): void {
    const heap = this.#heap
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && heap[child + 1]!.atMs < heap[child]!.atMs) child++
      if (heap[child]!.atMs >= last.atMs) break
      heap[at] = heap[child]!
      at = child
    }
    heap[at] = last
  }
}
