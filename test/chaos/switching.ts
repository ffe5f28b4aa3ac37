/** The operator: opens and closes windows, and notes when they were safe and whether anybody wrote inside. */
import { setTimeout as pause } from 'node:timers/promises'
import type { Instance } from '../support/instance.ts'
import { ask } from './ask.ts'
import type { Window } from './history.ts'
import type { Stage } from './stage.ts'

const RETRY_MS = 100
const PATIENCE_MS = 30_000

/** The operator tries until somebody answers. */
export async function flip(stage: Stage, enabled: boolean, except: Instance | null = null): Promise<boolean> {
  const { history, random } = stage
  const instances = stage.instances.filter((instance) => instance !== except)
  const endsAt = performance.now() + PATIENCE_MS
  while (performance.now() < endsAt) {
    const instance = random.pick(instances)
    history.did(enabled ? 'maintenance on' : 'maintenance off')
    const answer = instance.isRunning ? await instance.api.maintenance(enabled).catch(() => null) : null
    if (answer?.status === 200) {
      if (answer.body.maintenanceMode !== enabled || (enabled && answer.body.safeToMigrate !== true))
        history.wrongAnswers.push(`switching to ${enabled} was answered ${JSON.stringify(answer.body).slice(0, 300)}`)
      return true
    }
    if (answer !== null && answer.status !== 503)
      history.wrongAnswers.push(`the switch was answered ${answer.status} ${JSON.stringify(answer.body)}`)
    await pause(RETRY_MS)
  }
  return false
}

/** Opens a window, has things happen in it, ends it. Without a window nothing happens. */
export async function inWindow(
  stage: Stage,
  happen: (window: Window) => Promise<void>,
  options: { except?: Instance | null; exceptAtEnd?: Instance | null; both?: boolean } = {},
): Promise<void> {
  const { history } = stage
  const { both = false, except = null, exceptAtEnd = null } = options
  const turn = async (enabled: boolean, spared: Instance | null): Promise<boolean> => {
    const answers = await Promise.all([flip(stage, enabled, spared), both ? flip(stage, enabled, spared) : true])
    return answers.every(Boolean)
  }
  if (!(await turn(true, except))) {
    await turn(false, except)
    return
  }
  const window: Window = {
    safeAtMs: history.nowMs,
    safeAtWallMs: Date.now(),
    closedAtMs: null,
    closedAtWallMs: null,
    writtenInside: null,
  }
  history.windows.push(window)
  const seen = await snapshot(stage.databaseUrl)
  try {
    await happen(window)
  } finally {
    window.writtenInside = seen === null ? null : await writtenSince(stage.databaseUrl, seen)
    window.closedAtWallMs = Date.now()
    window.closedAtMs = history.nowMs
    await turn(false, exceptAtEnd)
  }
}

/** What PostgreSQL has committed so far; null when it cannot be asked. */
function snapshot(databaseUrl: string): Promise<string | null> {
  return ask(databaseUrl, 'SELECT pg_current_snapshot()::text AS answer')
}

/** Segments that are there now and that the snapshot does not see: clocks do not come into it. */
async function writtenSince(databaseUrl: string, seen: string): Promise<number | null> {
  const count = await ask(
    databaseUrl,
    `SELECT count(*)::text AS answer FROM queen.segments s
      WHERE NOT pg_visible_in_snapshot(s.xmin::text::xid8, $1::pg_snapshot)`,
    [seen],
  )
  return count === null ? null : Number(count)
}
