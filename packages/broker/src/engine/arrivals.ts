/**
 * Things that come and go with every request, in the order in which they came.
 *
 * In place of a Set, because of how V8 keeps one: whenever too much of its table was deleted, a Set goes on in a new table,
 * and the old one points to the new. Once a table has lived long enough to be moved to the old generation, where only a
 * full collection looks, it keeps its successor alive, and that the next: all tables of a Set whose members change all the
 * time, with every request that was a member when its table was left. The broker then moved most of what passed through
 * it to the old generation, bodies included, and ran a full collection more than once a second.
 *
 * Invariants: no member twice; one that is removed while they are gone through is passed over, one that comes is met.
 */

/** A member; its number says when it came. */
export interface Arrival {
  readonly arrival: number
}

let arrivals = 0

/** The number of what comes now. */
export function nextArrival(): number {
  return ++arrivals
}

export class Arrivals<T extends Arrival> {
  // By number. An array that has become too small is copied, and does not know of its copy.
  readonly #items: T[] = []

  get size(): number {
    return this.#items.length
  }

  get first(): T | undefined {
    return this.#items[0]
  }

  get last(): T | undefined {
    return this.#items.at(-1)
  }

  add(item: T): void {
    const { last } = this
    if (last === undefined || last.arrival < item.arrival) {
      this.#items.push(item)
      return
    }
    const at = this.#behind(item.arrival - 1)
    if (this.#items[at] !== item) this.#items.splice(at, 0, item)
  }

  /** False when it was not there. */
  delete(item: T): boolean {
    const items = this.#items
    if (items.at(-1) === item) {
      items.pop()
      return true
    }
    const at = items[0] === item ? 0 : this.#behind(item.arrival - 1)
    if (items[at] !== item) return false
    items.splice(at, 1)
    return true
  }

  clear(): void {
    this.#items.length = 0
  }

  *[Symbol.iterator](): Generator<T, void> {
    let next = 0
    let item = this.#items[0]
    while (item !== undefined) {
      yield item
      if (this.#items[next] === item) next++
      else next = this.#behind(item.arrival)
      item = this.#items[next]
    }
  }

  /** Index of the first that came after `arrival`. */
  #behind(arrival: number): number {
    let from = 0
    let to = this.#items.length
    while (from < to) {
      const middle = (from + to) >>> 1
      if (this.#items[middle]!.arrival > arrival) to = middle
      else from = middle + 1
    }
    return from
  }
}
