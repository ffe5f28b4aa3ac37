/** A stop runs to its end. */
import { expect, test } from 'vitest'
import { inOrder } from '../../src/services/in-order.ts'

test('a step that fails keeps none of the later ones from running, and is told at the end', async () => {
  const ran: string[] = []
  const step = (name: string, fails: boolean) => async () => {
    await Promise.resolve()
    ran.push(name)
    if (fails) throw new Error(name)
  }
  const thrown = () => {
    throw new Error('at once')
  }
  await expect(inOrder([step('a', false), step('b', true), thrown, step('c', true), step('d', false)])).rejects.toThrow(
    'b',
  )
  expect(ran).toEqual(['a', 'b', 'c', 'd'])
  await inOrder([])
})
