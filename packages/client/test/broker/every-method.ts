/**
 * Holds a class and its tests together: every public method has a test of its name, and that test really calls it.
 * A method that is added without a test fails the suite, and does not compile before that.
 */
import { describe, expect, test } from 'vitest'

/** A test for each public member that can be called, getters with it. */
export type TestOfEach<T> = { readonly [M in keyof T]-?: () => Promise<void> }

export function everyMethod(title: string, prototype: object, tests: object): void {
  describe(title, () => {
    test('every public method has a test against a real broker', () => {
      expect(Reflect.ownKeys(tests).map(String).sort()).toEqual(methodsOf(prototype).map(String).sort())
    })
    for (const name of methodsOf(prototype)) {
      const run = Reflect.get(tests, name) as (() => Promise<void>) | undefined
      if (run === undefined) continue
      test(String(name), async () => {
        const watch = watchCalls(prototype, name)
        try {
          await run()
        } finally {
          watch.restore()
        }
        expect(watch.calls, `${title}.${String(name)} was called`).toBeGreaterThan(0)
      })
    }
  })
}

export function methodsOf(prototype: object): (string | symbol)[] {
  return Reflect.ownKeys(prototype).filter((name) => {
    const { value, get } = Reflect.getOwnPropertyDescriptor(prototype, name)!
    return name !== 'constructor' && name !== 'execute' && (typeof value === 'function' || get !== undefined)
  })
}

function watchCalls(prototype: object, name: string | symbol) {
  const original = Reflect.getOwnPropertyDescriptor(prototype, name)!
  const watch = { calls: 0, restore: () => void Reflect.defineProperty(prototype, name, original) }
  type Method = (this: unknown, ...args: unknown[]) => unknown
  const counted = (method: Method): Method =>
    function (...args) {
      watch.calls++
      return method.apply(this, args)
    }
  const { value, get } = original
  Reflect.defineProperty(
    prototype,
    name,
    get === undefined ? { ...original, value: counted(value) } : { ...original, get: counted(get) as () => unknown },
  )
  return watch
}
