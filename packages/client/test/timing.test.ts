/** Waiting that can be called off: one listener per signal, none left behind. */
import { describe, expect, test } from 'vitest'
import { linkAbort, onAbort, sleep, untilAborted } from '../src/timing/abort.ts'
import { rejection } from './support/client.ts'

function counted() {
  const controller = new AbortController()
  const { signal } = controller
  const count = { now: 0, most: 0 }
  const { addEventListener, removeEventListener } = signal
  signal.addEventListener = (...args: never[]) => {
    count.most = Math.max(count.most, ++count.now)
    Reflect.apply(addEventListener, signal, args)
  }
  signal.removeEventListener = (...args: never[]) => {
    count.now--
    Reflect.apply(removeEventListener, signal, args)
  }
  return { controller, signal, count }
}

describe('abort', () => {
  test('a thousand waits are one listener, and none when they are over', async () => {
    const { controller, signal, count } = counted()
    await Promise.all(Array.from({ length: 1000 }, () => untilAborted(sleep(1, signal), signal)))
    expect(count).toEqual({ now: 0, most: 1 })
    const waits = Array.from({ length: 1000 }, () => rejection(sleep(60_000, signal)))
    controller.abort('enough')
    expect(new Set(await Promise.all(waits))).toEqual(new Set(['enough']))
  })

  test('one that takes another back in its callback is heard', () => {
    const { controller, signal } = counted()
    const calls: number[] = []
    const stops: (() => void)[] = []
    for (const n of [1, 2, 3]) {
      stops.push(
        onAbort(signal, () => {
          calls.push(n)
          stops[1]?.()
        }),
      )
    }
    controller.abort()
    expect(calls).toEqual([1, 3])
    onAbort(signal, () => calls.push(4))
    expect(calls).toEqual([1, 3, 4])
  })

  test('a linked signal aborts with the first, and lets go', () => {
    const [one, two] = [counted(), counted()]
    const link = linkAbort(one.signal, undefined, two.signal)
    two.controller.abort('two')
    expect([link.signal.aborted, link.signal.reason]).toEqual([true, 'two'])
    link.release()
    expect(one.count.now).toBe(0)
    expect(linkAbort(two.signal).signal.reason).toBe('two')
  })
})
