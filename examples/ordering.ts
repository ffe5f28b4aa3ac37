/**
 * Order and partitions: inside a partition messages are delivered in the order of their pushes, and one consumer at a
 * time has it. Partitions run side by side. A slow customer keeps nobody else waiting.
 *
 * Prints:
 *   ada: 1 2 3 4 5
 *   bob: 1 2 3 4 5
 *   cy: 1 2 3 4 5
 *   bob and cy were done while ada was at step 1: true
 */
import { Queen } from '@queen/client'

interface Step {
  customer: string
  step: number
}

await using queen = new Queen(process.env.QUEEN_URL ?? 'http://localhost:6632')
const steps = queen.queue<Step>('examples.ordering').partitionBy((step) => step.customer)
await steps.delete()

// Mixed, as they come.
const customers = ['ada', 'bob', 'cy']
for (let step = 1; step <= 5; step++) await steps.push(customers.map((customer) => ({ customer, step })))

const seen = new Map<string, number[]>()
const othersDone = Promise.withResolvers<void>()
const stop = new AbortController()
let doneWhileAdaWorked = false
await queen
  .queue<Step>('examples.ordering')
  .each()
  .concurrency(3)
  .consume(
    async (message) => {
      const { customer, step } = message.data
      if (customer === 'ada' && step === 1) {
        // A very slow step: it ends when the others have done everything.
        await othersDone.promise
        doneWhileAdaWorked = true
      }
      seen.set(customer, [...(seen.get(customer) ?? []), step])
      if (seen.get('bob')?.length === 5 && seen.get('cy')?.length === 5) othersDone.resolve()
      if (customers.every((each) => seen.get(each)?.length === 5)) stop.abort()
    },
    { signal: stop.signal },
  )

for (const customer of customers) console.log(`${customer}: ${seen.get(customer)!.join(' ')}`)
console.log('bob and cy were done while ada was at step 1:', doneWhileAdaWorked)
