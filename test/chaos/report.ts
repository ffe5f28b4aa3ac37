/** What a run came to: for people, and as Markdown for the record. */
import { availableParallelism } from 'node:os'
import type { RunOptions, RunResult } from './run.ts'
import { sliceOf } from './slice.ts'

/** Slices shown; the history has the rest. */
const SLICES_MAX = 3

interface Line {
  readonly name: string
  readonly text: string
}

export function reportOf(options: RunOptions, result: RunResult): string {
  const { history, violations } = result
  const lines = [
    `seed ${options.seed}, ${titleOf(options)}`,
    ...summary(result).map(({ name, text }) => `${name.padEnd(12)}${text}`),
    ...violations.map(({ guarantee, what }) => `  ${guarantee}  ${what}`),
  ]
  if (violations.length === 0) return lines.join('\n')
  // The first of each guarantee; what follows it is mostly the same story.
  const firsts = new Map(violations.toReversed().map((violation) => [violation.guarantee, violation]))
  for (const violation of [...firsts.values()].toReversed().slice(0, SLICES_MAX)) {
    const slice = sliceOf(history, violation)
    if (slice.length > 0) lines.push('', `${violation.guarantee}  ${violation.what}`, ...slice)
  }
  lines.push('', `again: ${commandOf(options)}`)
  return lines.join('\n')
}

export function markdownOf(options: RunOptions, result: RunResult, commit: string): string {
  const cores = availableParallelism()
  const lines = [
    `# Seed ${options.seed}`,
    '',
    `\`${commandOf(options)}\`, commit ${commit}, ${cores} cores, Node ${process.versions.node}, PostgreSQL ${result.postgres}.`,
    '',
    '| | |',
    '|---|---|',
    ...summary(result).map(({ name, text }) => `| ${name} | ${text} |`),
  ]
  if (result.violations.length > 0) lines.push('', '```', reportOf(options, result), '```')
  return `${lines.join('\n')}\n`
}

export function commandOf({ faults, plant, seconds, seed }: RunOptions): string {
  const more = [faults && ` --faults ${faults.join(',')}`, plant && ` --plant ${plant}`].filter(Boolean).join('')
  return `npm run chaos -- --seconds ${seconds} --seed ${seed}${more}`
}

const titleOf = ({ plant, seconds }: RunOptions): string =>
  plant === undefined ? `${seconds} s` : `planted bug: ${plant}`

function summary({ history, memoryBytes, recoveryMs, violations }: RunResult): Line[] {
  const statuses = new Map<string, number>()
  let unpromised = 0
  for (const { status } of history.messages.values()) {
    if (status === null) unpromised++
    else statuses.set(status, (statuses.get(status) ?? 0) + 1)
  }
  const promised = history.messages.size - unpromised
  const refusals = tally(history.refusals.map(({ code, status }) => `${status} ${code}`))
  const counted = history.counts.filter(({ said }) => said > 0).length
  const seen = history.windows.filter(({ writtenInside }) => writtenInside !== null).length
  const megabytes = memoryBytes.map((bytes) => Math.round(bytes / 2 ** 20))
  return [
    { name: 'operations', text: list(history.operations) },
    { name: 'faults', text: `${history.faults.length}: ${list(tally(history.faults.map(({ kind }) => kind)))}` },
    { name: 'windows', text: `${history.windows.length}, ${seen} of them also held against snapshots` },
    {
      name: 'messages',
      text: `${history.messages.size} sent, ${promised} promised: ${list(statuses)}; ${unpromised} without a promise`,
    },
    { name: 'set aside', text: `${history.doomed.size} messages of queues that were deleted under them` },
    { name: 'deliveries', text: `${history.deliveries.length}` },
    { name: 'refusals', text: list(refusals) },
    { name: 'counts', text: `${history.counts.length} held against the disk, ${counted} of them above 0` },
    { name: 'slowest', text: `${Math.round(history.slowestPushMs)} ms for a push (frozen instances included)` },
    ...(megabytes.length === 0 ? [] : [{ name: 'memory', text: `${megabytes.join(', ')} MiB at most, by instance` }]),
    { name: 'recovery', text: `${Math.round(recoveryMs)} ms after the last fault` },
    { name: 'violations', text: `${violations.length}` },
  ]
}

function tally(names: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>()
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1)
  return counts
}

const list = (counts: ReadonlyMap<string, number>): string =>
  counts.size === 0
    ? 'none'
    : [...counts]
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([name, times]) => `${name} ${times}`)
        .join(', ')
