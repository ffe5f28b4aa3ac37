import { describe, expect, it } from 'vitest'
import { StoreError, type StoreFailure } from '../../src/ports/store-error.ts'
import { spoilsConnection, toStoreError } from '../../src/store/sqlstate.ts'

const serverError = (code: string, severity = 'ERROR') => Object.assign(new Error(`state ${code}`), { code, severity })

const TABLE: readonly [code: string, failure: StoreFailure, outcomeUnknownWhenSent: boolean][] = [
  ['08000', 'unavailable', true],
  ['08001', 'unavailable', true],
  ['08003', 'unavailable', true],
  ['08006', 'unavailable', true],
  ['08P01', 'conflict', false],
  ['0A000', 'conflict', false],
  ['21000', 'defect', false],
  ['22001', 'rejected', false],
  ['22003', 'rejected', false],
  ['22021', 'rejected', false],
  ['22P02', 'rejected', false],
  ['22P05', 'rejected', false],
  ['23502', 'unavailable', false],
  ['23503', 'unavailable', false],
  ['23505', 'rejected', false],
  ['23514', 'unavailable', false],
  ['23P01', 'unavailable', false],
  ['25001', 'defect', false],
  ['25006', 'read_only', false],
  ['25P02', 'defect', false],
  ['25P03', 'unavailable', true],
  ['25P04', 'locked', true],
  ['26000', 'conflict', false],
  ['28000', 'unavailable', false],
  ['28P01', 'unavailable', false],
  ['3D000', 'unavailable', false],
  ['3F000', 'unavailable', false],
  ['40001', 'conflict', false],
  ['40003', 'unavailable', true],
  ['40P01', 'conflict', false],
  ['42501', 'unavailable', false],
  ['42601', 'defect', false],
  ['42703', 'defect', false],
  ['42804', 'defect', false],
  ['42883', 'unavailable', false],
  ['42P01', 'unavailable', false],
  ['42P10', 'unavailable', false],
  ['53000', 'unavailable', false],
  ['53100', 'unavailable', false],
  ['53200', 'unavailable', false],
  ['53300', 'unavailable', false],
  ['54000', 'rejected', false],
  ['55000', 'unavailable', false],
  ['55006', 'locked', false],
  ['55P03', 'locked', false],
  ['57014', 'locked', false],
  ['57P01', 'unavailable', true],
  ['57P02', 'unavailable', true],
  ['57P03', 'unavailable', true],
  ['57P04', 'unavailable', true],
  ['57P05', 'unavailable', true],
  ['58030', 'unavailable', false],
  ['P0001', 'unavailable', false],
  ['P0002', 'defect', false],
  ['XX000', 'unavailable', false],
  ['XX001', 'unavailable', false],
  ['ZZ999', 'defect', false],
]

describe('the SQLSTATE table', () => {
  it.each(TABLE)('%s is %s, outcome unknown when sent: %s', (code, failure, outcomeUnknown) => {
    const error = toStoreError(serverError(code), true)
    expect(error).toMatchObject({ failure, outcomeUnknown, sqlState: code, message: `state ${code}` })
    expect(toStoreError(serverError(code), false).outcomeUnknown).toBe(false)
  })

  it('knows a statement that ran out of time from one that did not get its locks', () => {
    expect(['57014', '55P03'].map((code) => toStoreError(serverError(code), true).tooLong)).toEqual([true, false])
  })

  it('G8 knows a database without transaction numbers from a value that is over a limit', () => {
    for (const routine of ['GetNewTransactionId', 'GetNewMultiXactId']) {
      const error = Object.assign(serverError('54000'), { routine })
      expect(toStoreError(error, true)).toMatchObject({ failure: 'unavailable', outcomeUnknown: false })
    }
    const tooLarge = Object.assign(serverError('54000'), { routine: 'RelationGetBufferForTuple' })
    expect(toStoreError(tooLarge, true).failure).toBe('rejected')
  })

  it('says what is wrong where a pooler shares sessions', () => {
    const error = toStoreError(serverError('42P05'), true)
    expect(error).toMatchObject({
      failure: 'defect',
      message: expect.stringMatching(/pool sessions, not transactions/),
    })
  })

  it('takes a FATAL error for no fault of a statement, whatever its code', () => {
    const failures = ['55000', '22023', '42704'].map((code) => toStoreError(serverError(code, 'FATAL'), false).failure)
    expect(failures).toEqual(['unavailable', 'unavailable', 'unavailable'])
    expect(toStoreError(serverError('08P01', 'FATAL'), false).failure).toBe('conflict')
  })

  it('takes every FATAL error of a sent statement for an unknown outcome', () => {
    expect(toStoreError(serverError('40001', 'FATAL'), true).outcomeUnknown).toBe(true)
    expect(toStoreError(serverError('XX000', 'PANIC'), true).outcomeUnknown).toBe(true)
  })

  it.each([
    'ECONNREFUSED',
    'ECONNRESET',
    'EPIPE',
    'ETIMEDOUT',
    'EHOSTUNREACH',
    'ENETUNREACH',
    'ENOTFOUND',
    'EAI_AGAIN',
    'CERT_HAS_EXPIRED',
  ])('takes %s for a lost connection', (code) => {
    const error = Object.assign(new Error(''), { code })
    expect(toStoreError(error, false)).toMatchObject({ failure: 'unavailable', outcomeUnknown: false, message: code })
    expect(toStoreError(error, true).outcomeUnknown).toBe(true)
  })

  it('takes an error without any code for a lost connection, and our own mistakes for defects', () => {
    expect(toStoreError(new Error('Connection terminated unexpectedly'), true)).toMatchObject({
      failure: 'unavailable',
      outcomeUnknown: true,
    })
    expect(toStoreError(new TypeError('x'), true)).toMatchObject({ failure: 'defect', outcomeUnknown: false })
    const own = new StoreError('locked', 'x')
    expect(toStoreError(own, true)).toBe(own)
  })

  it('leaves connections that another one would replace with profit', () => {
    const spoiled = (code: string) => spoilsConnection(toStoreError(serverError(code), true))
    expect(['57P01', '25006', '26000', '0A000', '08P01', '25P03'].map(spoiled)).not.toContain(false)
    expect(['23505', '40P01', '55P03', '57014', '22P02', '53100'].map(spoiled)).not.toContain(true)
  })
})
