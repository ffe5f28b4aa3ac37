/**
 * Not run: checked by the compiler against the built package. Each `@ts-expect-error` is a mistake that must not compile.
 */
import {
  type AckResult,
  type BufferedPush,
  type CloseReport,
  type ConsumeSummary,
  type DlqPage,
  isQueenError,
  type MaintenanceStatus,
  type Message,
  type OperationFailed,
  type PushItemResult,
  type PushResults,
  Queen,
  type QueenHooks,
  type QueueConfigured,
  type RenewResult,
  type TransactionResult,
} from '@queen/client'

interface Order {
  id: number
  customer: string
}

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
declare function expectType<Expected>(): <Actual>(
  value: Actual,
  ...same: Same<Expected, Actual> extends true ? [] : [never]
) => void

export async function typed(queen: Queen): Promise<void> {
  const orders = queen.queue<Order>('orders')

  expectType<PushResults>()(await orders.push({ id: 1, customer: 'a' }))
  expectType<PushResults>()(await orders.push([{ data: { id: 1, customer: 'a' }, transactionId: 't' }]))
  expectType<PushResults | null>()(await orders.push({ payload: { id: 1, customer: 'a' } }).onError(() => {}))
  expectType<BufferedPush>()(await orders.buffer({ messageCount: 10 }).push({ id: 1, customer: 'a' }))
  // @ts-expect-error: not an order
  await orders.push({ id: 'one' })
  // @ts-expect-error: not an order inside an envelope
  await orders.push({ data: 1 })
  orders.partitionBy((order) => order.customer)
  // @ts-expect-error: no such field
  orders.partitionBy((order) => order.region)

  expectType<Message<Order>[]>()(await orders.pop({ throwOnError: true }))
  expectType<string>()((await orders.pop())[0]!.data.customer)

  const batch = orders.consume(async (messages, ctx) => {
    expectType<Message<Order>[]>()(messages)
    expectType<AbortSignal>()(ctx.lease)
    // @ts-expect-error: an array without each()
    messages.data
    return messages.length
  })
  batch.onSuccess((messages, count) => {
    expectType<Message<Order>[]>()(messages)
    expectType<number>()(count)
  })
  expectType<ConsumeSummary>()(await batch)
  await orders
    .each()
    .consume((message) => {
      expectType<Message<Order>>()(message)
      return 'done' as const
    })
    .onSuccess((message, result) => {
      expectType<Message<Order>>()(message)
      expectType<'done'>()(result)
    })
    .onError((message, error) => {
      expectType<Message<Order>>()(message)
      expectType<Error>()(error)
    })

  for await (const message of orders.messages()) expectType<Message<Order>>()(message)
  expectType<DlqPage<Order>>()(await orders.dlq('group').limit(10).from(new Date()).get())

  expectType<QueueConfigured>()(await orders.config({ leaseTime: 10, retryDelay: 5 }).create())
  expectType<QueueConfigured | OperationFailed>()(await orders.create().onError(() => {}))
}

export async function untyped(queen: Queen): Promise<void> {
  const results = await queen.queue('q').push([1, 'two', null, { data: { three: 3 } }])
  expectType<PushItemResult>()(results[0]!)
  expectType<number>()(results.counts.queued)
  const [message] = await queen.queue().namespace('n').task('t').pop()
  if (message === undefined) return
  message.data.anything.goes
  expectType<AckResult>()(await queen.ack(message, 'retry', { error: new Error('x') }))
  expectType<AckResult>()(await queen.ack([message, { ...message, _status: false, _error: 'no' }]))
  // @ts-expect-error: no such status
  await queen.ack(message, 'done')
  expectType<RenewResult>()(await queen.renew(message, { seconds: 5 }))
  expectType<RenewResult>()(await queen.renew('lease'))
  expectType<RenewResult[]>()(await queen.renew([message, 'lease']))
  expectType<TransactionResult>()(
    await queen
      .transaction()
      .ack(message)
      .queue<Order>('o')
      .partition('p')
      .push({ id: 1, customer: 'c' })
      .commit({ waitMillis: 5 }),
  )
  expectType<MaintenanceStatus>()(await queen.admin.setMaintenanceMode(true, { reason: 'x' }))
  expectType<number | null>()((await queen.admin.getMaintenanceMode()).bufferedMessages)
  expectType<CloseReport>()(await queen.close({ timeoutMillis: 5 }))
}

export async function resources(hooks: QueenHooks): Promise<void> {
  await using queen = new Queen({ urls: ['http://a'], hooks, bearerToken: async () => 'token', json: JSON })
  try {
    await queen.admin.health()
  } catch (error) {
    if (isQueenError(error)) expectType<boolean>()(error.retryable)
  }
}
