/** Two ways of the same load in short slices, turn by turn: what they differ in is far below the noise of one slice. */
import { median } from '../report/median.ts'

const PAIRS_PER_SECOND = 2

/**
 * @param slice messages per second of one slice, `changed` or as usual
 * @returns the changed way's median rate, and the median of the pairs' ratios changed / usual
 */
export async function inTurn(
  seconds: number,
  slice: (changed: boolean) => Promise<number>,
): Promise<{ messagesPerSecond: number; ratio: number }> {
  const rates: number[] = []
  const ratios: number[] = []
  for (let pair = 0; pair < Math.max(2, Math.round(PAIRS_PER_SECOND * seconds)); pair++) {
    // Each goes first in every other pair: what changes steadily hits both.
    const first = await slice(pair % 2 === 0)
    const second = await slice(pair % 2 !== 0)
    const [changed, usual] = pair % 2 === 0 ? [first, second] : [second, first]
    rates.push(changed)
    ratios.push(changed / usual)
  }
  return { messagesPerSecond: median(rates), ratio: median(ratios) }
}
