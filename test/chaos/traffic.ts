/**
 * Where requests go. An instance can be closed for pushes for a moment, so that what it says about itself can be held
 * against its disk while nothing changes.
 */
import type { Instance } from '../support/instance.ts'
import { until } from '../support/until.ts'
import type { Random } from './random.ts'

export class Traffic {
  readonly #instances: readonly Instance[]
  readonly #closed = new Set<number>()
  readonly #underWay: number[]

  constructor(instances: readonly Instance[]) {
    this.#instances = instances
    this.#underWay = instances.map(() => 0)
  }

  /** One that takes pushes now; null = none does. */
  pick(random: Random, except: number | null = null): number | null {
    const open = this.#instances
      .map((_, index) => index)
      .filter((index) => index !== except && this.#instances[index]!.isRunning && !this.#closed.has(index))
    return open.length === 0 ? null : random.pick(open)
  }

  /** Any one that runs: for requests that put nothing into a buffer. */
  running(random: Random): number | null {
    const open = this.#instances.map((_, index) => index).filter((index) => this.#instances[index]!.isRunning)
    return open.length === 0 ? null : random.pick(open)
  }

  async through<T>(index: number, request: () => Promise<T>): Promise<T> {
    this.#underWay[index]!++
    try {
      return await request()
    } finally {
      this.#underWay[index]!--
    }
  }

  close(index: number): void {
    this.#closed.add(index)
  }

  open(index: number): void {
    this.#closed.delete(index)
  }

  /** Closes it and waits for its running pushes; false when they did not end in time. */
  async quiet(index: number, patienceMs: number): Promise<boolean> {
    this.#closed.add(index)
    const ended = until('no push is under way', () => this.#underWay[index] === 0, patienceMs)
    return ended.then(
      () => true,
      () => false,
    )
  }
}
