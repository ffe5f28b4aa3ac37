/** A reusable set of 16-byte keys that lie in one buffer: finds repeats inside one segment without making strings. */
import { KEY_BYTES } from '../format/transaction-key.ts'

export class KeySet {
  // Slot: index of the key + 1; 0 = empty.
  #slots = new Int32Array(64)
  #mask = 63

  /** Empties the set and makes room for `count` keys. */
  reset(count: number): void {
    let slots = 64
    while (slots < count * 2) slots *= 2
    if (slots > this.#slots.length) this.#slots = new Int32Array(slots)
    else this.#slots.fill(0, 0, slots)
    this.#mask = slots - 1
  }

  /** The index of an equal key that is in the set, or -1 after adding key `index`, which lies at base + index * 16. */
  add(keys: Uint8Array, base: number, index: number): number {
    const at = base + index * KEY_BYTES
    // Enough to spread: the bytes in which consecutive ids of either kind differ.
    let slot =
      Math.imul(
        (keys[at + 15]! | (keys[at + 14]! << 8) | (keys[at + 13]! << 16)) ^
          (keys[at + 5]! | (keys[at + 6]! << 8) | (keys[at + 9]! << 16)),
        0x9e3779b1,
      ) >>> 7
    for (;;) {
      slot &= this.#mask
      const held = this.#slots[slot]!
      if (held === 0) {
        this.#slots[slot] = index + 1
        return -1
      }
      const other = base + (held - 1) * KEY_BYTES
      let i = 0
      while (i < KEY_BYTES && keys[at + i] === keys[other + i]) i++
      if (i === KEY_BYTES) return held - 1
      slot++
    }
  }
}
