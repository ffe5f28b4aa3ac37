/** A reusable set of 16-byte keys that lie in one buffer: finds repeats inside one segment without making strings. */
import { KEY_BYTES } from '../format/transaction-key.ts'

const SLOTS_MIN = 16

export class KeySet {
  // Slot: index of the key + 1; 0 = empty.
  #slots = new Int32Array(SLOTS_MIN)
  #mask = SLOTS_MIN - 1

  /** Empties the set and makes room for `count` keys. */
  reset(count: number): void {
    let slots = SLOTS_MIN
    while (slots < count * 2) slots *= 2
    if (slots > this.#slots.length) this.#slots = new Int32Array(slots)
    else this.#slots.fill(0, 0, slots)
    this.#mask = slots - 1
  }

  /** The index of an equal key that is in the set, or -1 after adding key `index`, which lies at base + index * 16. */
  add(keys: Uint8Array, base: number, index: number): number {
    const slot = this.#slotOf(keys, base + index * KEY_BYTES, keys, base)
    const held = this.#slots[slot]!
    if (held === 0) this.#slots[slot] = index + 1
    return held === 0 ? -1 : held - 1
  }

  /** The index of the key of the set, whose keys lie in `keys`, that is equal to the one at `at` of `bytes`; -1 = none. */
  find(bytes: Uint8Array, at: number, keys: Uint8Array): number {
    return this.#slots[this.#slotOf(bytes, at, keys, 0)]! - 1
  }

  /** Where the key at `at` of `bytes` is, or would have to be. */
  #slotOf(bytes: Uint8Array, at: number, keys: Uint8Array, base: number): number {
    // Enough to spread: the bytes in which consecutive ids of either kind differ.
    let slot =
      Math.imul(
        (bytes[at + 15]! | (bytes[at + 14]! << 8) | (bytes[at + 13]! << 16)) ^
          (bytes[at + 5]! | (bytes[at + 6]! << 8) | (bytes[at + 9]! << 16)),
        0x9e3779b1,
      ) >>> 7
    for (;;) {
      slot &= this.#mask
      const held = this.#slots[slot]!
      if (held === 0) return slot
      const other = base + (held - 1) * KEY_BYTES
      let i = 0
      while (i < KEY_BYTES && bytes[at + i] === keys[other + i]) i++
      if (i === KEY_BYTES) return slot
      slot++
    }
  }
}
