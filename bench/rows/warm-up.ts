/** Not a row: a moment of every load at the start of a round, so that no row pays for compiling what all of them use. */
import { runPopLoad } from '../load/pop-load.ts'
import { runPushLoad } from '../load/push-load.ts'
import type { Round } from '../rig/rig.ts'
import { BATCHES } from './push.ts'
import { CONSUMERS, PRODUCERS, usualShape } from './row.ts'

const SECONDS = 0.5

export async function warmUp({ broker, ceiling }: Round): Promise<void> {
  for (const batch of BATCHES) {
    const queue = `warm-up-${batch}`
    const load = { ...usualShape(queue, batch), connections: PRODUCERS, status: 'queued', seconds: SECONDS } as const
    await runPushLoad(ceiling.url, load)
    const { acknowledged, numberFrom } = await runPushLoad(broker.url, load)
    const messages = acknowledged
    await runPopLoad(broker.url, { queue, consumers: CONSUMERS, batch, autoAck: batch === 1, numberFrom, messages })
  }
}
