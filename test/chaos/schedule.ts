/** Draws faults from the seed, some at a time, until the time is over; ends when the last of them has ended. */
import { setTimeout as pause } from 'node:timers/promises'
import { FAULTS, type FaultKind } from './faults.ts'
import type { Random } from './random.ts'
import type { Stage } from './stage.ts'

const AT_ONCE_MAX = 3
const GAP_MS_MIN = 100
const GAP_MS_MAX = 900

export async function schedule(
  stage: Stage,
  random: Random,
  ms: number,
  names: readonly string[] | undefined,
  say: (line: string) => void,
): Promise<void> {
  const kinds = FAULTS.filter((kind) => names === undefined || names.includes(kind.name))
  const endsAt = performance.now() + ms
  const holds = new Set<string>()
  const running = new Set<Promise<void>>()
  while (performance.now() < endsAt) {
    const kind = weighted(kinds, random)
    const index = random.whole(0, stage.instances.length - 1)
    // Drawn whether the fault can take place or not: the next draw is the same either way.
    const own = random.fork()
    const wanted = kind.holds.map((hold) => (hold === 'instance' ? `instance ${index}` : hold))
    if (running.size < AT_ONCE_MAX && !wanted.some((hold) => holds.has(hold))) {
      for (const hold of wanted) holds.add(hold)
      say(progress(stage, kind, wanted))
      const fault = kind
        .run({ ...stage, random: own }, index)
        .catch((error: unknown) => {
          stage.history.wrongAnswers.push(`the fault ${kind.name} failed: ${String(error)}`)
        })
        .finally(() => {
          for (const hold of wanted) holds.delete(hold)
          running.delete(fault)
        })
      running.add(fault)
    }
    await pause(random.between(GAP_MS_MIN, GAP_MS_MAX))
  }
  await Promise.all(running)
}

function progress({ history }: Stage, { name }: FaultKind, wanted: readonly string[]): string {
  const seconds = (history.nowMs / 1_000).toFixed(1).padStart(6)
  const where = wanted.filter((hold) => hold.startsWith('instance')).join('')
  const counts = `${history.messages.size} messages, ${history.windows.length} windows, ${history.wrongAnswers.length} wrong`
  return `${seconds} s  ${name.padEnd(18)} ${where.padEnd(12)} ${counts}`
}

function weighted(kinds: readonly FaultKind[], random: Random): FaultKind {
  let at = random.next() * kinds.reduce((sum, kind) => sum + kind.weight, 0)
  for (const kind of kinds) {
    at -= kind.weight
    if (at < 0) return kind
  }
  return kinds.at(-1)!
}
