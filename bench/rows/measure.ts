/** Runs one row and adds what the system says of the server's memory. */
import { processFigures, resetPeak } from '../rig/process-figures.ts'
import type { Figures, Row, RowContext } from './row.ts'

export async function measure(row: Row, context: RowContext): Promise<Figures> {
  const { broker, ceiling } = context.round
  const { pid } = row.name.startsWith('ceiling') ? ceiling : broker
  resetPeak(pid)
  const figures = await row.run(context)
  return { ...processFigures(pid), ...figures }
}
