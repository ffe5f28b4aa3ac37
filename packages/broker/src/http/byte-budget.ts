/** A bound on bytes that many requests hold together. Whoever takes gives back exactly what was taken. */
export class ByteBudget {
  readonly bytesMax: number
  #taken = 0

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax
  }

  get taken(): number {
    return this.#taken
  }

  /** False when it does not fit; then nothing was taken. */
  take(bytes: number): boolean {
    if (this.#taken + bytes > this.bytesMax) return false
    this.#taken += bytes
    return true
  }

  /** For what cannot be refused any more: may pass the bound, which then refuses what comes next. */
  force(bytes: number): void {
    this.#taken += bytes
  }

  give(bytes: number): void {
    this.#taken -= bytes
  }

  get exhausted(): boolean {
    return this.#taken >= this.bytesMax
  }
}
