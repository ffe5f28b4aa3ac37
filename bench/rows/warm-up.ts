/** Not a row: every load for a moment at the start of a round, so that no row pays for compiling what all of them use. */
import { runPopLoad } from '../load/pop-load.ts'
import { runPushLoad } from '../load/push-load.ts'
import type { Round } from '../rig/rig.ts'
import { BATCHES } from './push.ts'
import { CONSUMERS, PRODUCERS, usualShape } from './row.ts'

// Of each batch size. With large batches few requests pass, and the engine goes on compiling for more than a second: a row
// of two seconds would measure that, of a process that runs for weeks.
const SECONDS = { 1: 0.5, 10: 0.5, 100: 1.5 } as const

export async function warmUp({ broker, ceiling }: Round): Promise<void> {
  for (const batch of BATCHES) {
    const queue = `warm-up-${batch}`
    const load = {
      ...usualShape(queue, batch),
      connections: PRODUCERS,
      status: 'queued',
      seconds: SECONDS[batch],
    } as const
    await runPushLoad(ceiling.url, load)
    const { acknowledged, numberFrom } = await runPushLoad(broker.url, load)
    const messages = acknowledged
    await runPopLoad(broker.url, { queue, consumers: CONSUMERS, batch, autoAck: batch === 1, numberFrom, messages })
  }
}
