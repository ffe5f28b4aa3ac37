/** Runs one row and adds what the system says of the processes meanwhile: who was busy, and how much memory it took. */
import { processFigures, processorTimeMs, resetPeak } from '../rig/process-figures.ts'
import type { Rig, Round } from '../rig/rig.ts'
import type { Figures, Row } from './row.ts'

export async function measure(
  row: Row,
  context: { rig: Rig; round: Round; seconds: number; queue: string },
): Promise<Figures> {
  const { broker, ceiling } = context.round
  const server = row.name.startsWith('ceiling') ? ceiling : broker
  resetPeak(server.pid)
  const startedMs = performance.now()
  const serverBeforeMs = processorTimeMs(server.pid)
  const loadBefore = process.cpuUsage()
  const figures = await row.run(context)
  const elapsedMs = performance.now() - startedMs
  const load = process.cpuUsage(loadBefore)
  return {
    rssBytes: processFigures(server.pid).rssBytes,
    rssPeakBytes: processFigures(server.pid).rssPeakBytes,
    // Of one core, over the whole row, its preparation included.
    brokerCoreShare: (processorTimeMs(server.pid) - serverBeforeMs) / elapsedMs,
    loadCoreShare: (load.user + load.system) / 1000 / elapsedMs,
    ...figures,
  }
}
