/** The arguments and flags of one call, read by their names and as what the flag's definition made of them. */
import type { TimePoint } from '../input/times.ts'

export class Call {
  readonly #flags: Readonly<Record<string, unknown>>
  readonly #operands: readonly unknown[]

  constructor(operands: readonly unknown[], flags: Readonly<Record<string, unknown>>) {
    this.#operands = operands
    this.#flags = flags
  }

  /** Position from 0; the empty string where a required one cannot be missing. */
  operand(index: number): string {
    return this.optionalOperand(index) ?? ''
  }

  optionalOperand(index: number): string | undefined {
    const value = this.#operands[index]
    return typeof value === 'string' ? value : undefined
  }

  /** Of a variadic argument. */
  operands(index: number): readonly string[] {
    const value = this.#operands[index]
    return Array.isArray(value) ? (value as string[]) : []
  }

  has(flag: string): boolean {
    return this.#flags[flag] !== undefined
  }

  on(flag: string): boolean {
    return this.#flags[flag] === true
  }

  bool(flag: string): boolean | undefined {
    const value = this.#flags[flag]
    return typeof value === 'boolean' ? value : undefined
  }

  text(flag: string): string | undefined {
    const value = this.#flags[flag]
    return typeof value === 'string' ? value : undefined
  }

  number(flag: string): number | undefined {
    const value = this.#flags[flag]
    return typeof value === 'number' ? value : undefined
  }

  /** Of a flag with a fallback. */
  numberOf(flag: string): number {
    return this.number(flag) ?? 0
  }

  time(flag: string): TimePoint | null {
    return (this.#flags[flag] as TimePoint | undefined) ?? null
  }

  list(flag: string): readonly string[] {
    return (this.#flags[flag] as string[] | undefined) ?? []
  }
}
