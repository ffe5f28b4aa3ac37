/**
 * A partition's keys as they will be when a segment that is under way has been stored: what is known, and the segment's
 * own keys behind it. So the next step of a drain is built while PostgreSQL commits this one.
 *
 * It is a guess: whoever built on it has to see that the segment was stored just there before sending anything.
 */
import { KEY_BYTES } from '../format/transaction-key.ts'
import type { KnownKeysReader, PartitionKeys } from './dedup-cache.ts'
import { KeySet } from './key-set.ts'

export class KeysAhead implements KnownKeysReader {
  readonly to: number
  readonly heldFrom: number
  readonly #known: PartitionKeys
  readonly #keys: Uint8Array
  readonly #coming = new KeySet()
  readonly #comingFrom: number

  constructor(known: PartitionKeys, keys: Uint8Array) {
    const count = keys.length / KEY_BYTES
    this.#known = known
    this.#keys = keys
    this.#comingFrom = known.to
    this.#coming.reset(count)
    for (let i = 0; i < count; i++) this.#coming.add(keys, 0, i)
    this.to = known.to + count
    this.heldFrom = known.heldFrom
  }

  find(keys: Uint8Array, at: number, found: number[]): number[] {
    this.#known.find(keys, at, found)
    const index = this.#coming.find(keys, at, this.#keys)
    if (index !== -1) found.push(this.#comingFrom + index)
    return found
  }

  blindUpTo(keys: Uint8Array, at: number): number {
    return this.#known.blindUpTo(keys, at)
  }
}
