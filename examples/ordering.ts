/**
 * Order and partitions: inside a partition messages are delivered in the order of their pushes, and one consumer at a
 * time has it. Partitions run side by side. A slow customer keeps nobody else waiting.
 *
 * Prints:
 *   ada: 1 2 3 4 5
 *   bob: 1 2 3 4 5
 *   cy: 1 2 3 4 5
 *   bob and cy were done before slow ada: true
 */
import { setTimeout as sleep } from 'node:timers/promises'
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
const done: string[] = []
await queen
  .queue<Step>('examples.ordering')
  .each()
  .concurrency(3)
  .idleMillis(500)
  .consume(async (message) => {
    const { customer, step } = message.data
    // Work of different length: order holds all the same.
    await sleep(customer === 'ada' ? 60 : 1)
    seen.set(customer, [...(seen.get(customer) ?? []), step])
    if (step === 5) done.push(customer)
  })

for (const customer of customers) console.log(`${customer}: ${seen.get(customer)!.join(' ')}`)
console.log('bob and cy were done before slow ada:', done.at(-1) === 'ada')
