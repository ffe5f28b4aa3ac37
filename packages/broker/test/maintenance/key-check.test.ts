/** Whether the encryption key is the one of the database that is asked. */
import { createSecretKey, randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { PayloadCipher } from '../../src/engine/cipher.ts'
import { KeyCheck } from '../../src/engine/key-check.ts'
import { StoreError } from '../../src/ports/store-error.ts'
import { silent } from '../store/test-database.ts'

const newCipher = () => new PayloadCipher(createSecretKey(randomBytes(32)))
const sealedBy = (cipher: PayloadCipher) => cipher.encrypt(Buffer.from('queen')).toString('base64')

test('what a database answered that has been left meanwhile says nothing of the one that is asked now', async () => {
  const [cipher, other] = [newCipher(), newCipher()]
  const answers: PromiseWithResolvers<string>[] = []
  const keepSealed = () => {
    const answer = Promise.withResolvers<string>()
    answers.push(answer)
    return answer.promise
  }
  const key = new KeyCheck({ cipher, keepSealed, log: silent })
  const asked = key.verdict()
  key.askAgain()
  answers[0]!.resolve(sealedBy(cipher))
  await expect.poll(() => answers.length).toBe(2)
  answers[1]!.resolve(sealedBy(other))
  expect([await asked, key.isWrong]).toEqual(['wrong', true])
})

test('a right key is unknown, and a wrong one wrong, until the next database has been asked', async () => {
  const cipher = newCipher()
  let kept: string | null = sealedBy(cipher)
  const keepSealed = async () => {
    if (kept === null) throw new StoreError('unavailable', 'away')
    return kept
  }
  const key = new KeyCheck({ cipher, keepSealed, log: silent })
  expect(await key.verdict()).toBe('right')
  kept = null
  key.askAgain()
  expect([key.known, await key.verdict()]).toEqual(['unknown', 'unknown'])
  kept = sealedBy(newCipher())
  expect(await key.verdict()).toBe('wrong')
  kept = null
  key.askAgain()
  expect([key.known, await key.verdict()]).toEqual(['wrong', 'wrong'])
  kept = sealedBy(cipher)
  expect(await key.verdict()).toBe('right')
})
