/**
 * The state of maintenance, read once for the whole page: sidebar, banner and views all look at this one query.
 *
 * Who may not administer gets the part that the buffers' status tells everybody. Unknown stays null.
 */
import { isQueenError, type MaintenanceStatus } from '@queen/client'
import { computed, effectScope, ref, watch } from 'vue'
import { admin } from '../api/queen.ts'
import { BUSY_MS, type Query, SLOW_MS, useQuery } from '../composables/use-query.ts'
import type { Stage } from './stages.ts'

export interface MaintenanceView {
  readonly stage: Stage
  /** The switch; null = unknown. */
  readonly on: boolean | null
  readonly popsPaused: boolean | null
  readonly bufferedMessages: number | null
  /** The whole answer; null without the right to administer. */
  readonly status: MaintenanceStatus | null
  /** Without it the switches cannot be used. */
  readonly mayAdminister: boolean
}

// The page's own scope: it lives as long as the page.
const scope = effectScope(true)
let shared: MaintenanceQuery | null = null

export interface MaintenanceQuery {
  readonly query: Query<MaintenanceView>
  readonly view: { readonly value: MaintenanceView }
}

const UNKNOWN_VIEW: MaintenanceView = {
  stage: 'unknown',
  on: null,
  popsPaused: null,
  bufferedMessages: null,
  status: null,
  mayAdminister: true,
}

export function useMaintenance(): MaintenanceQuery {
  shared ??= scope.run(() => {
    const everyMs = ref(SLOW_MS)
    const query = useQuery(read, { everyMs })
    const view = computed(() => query.data.value ?? UNKNOWN_VIEW)
    watch(view, (next) => {
      everyMs.value = next.stage === 'normal' ? SLOW_MS : BUSY_MS
    })
    return { query, view }
  })!
  return shared
}

const PUBLIC_STAGES: Readonly<Record<string, Stage>> = { normal: 'normal', maintenance: 'open', draining: 'draining' }

async function read(signal: AbortSignal): Promise<MaintenanceView> {
  try {
    return fromStatus(await admin.getMaintenanceMode({ signal }))
  } catch (error) {
    if (!isQueenError(error) || error.status !== 403) throw error
    const { maintenance } = (await admin.getStatus({}, { signal })) as {
      maintenance?: { phase: string; popMaintenanceMode: boolean; bufferedMessages: number | null }
    }
    const phase = maintenance?.phase
    return {
      stage: PUBLIC_STAGES[phase ?? ''] ?? 'unknown',
      on: phase === undefined ? null : phase === 'maintenance',
      popsPaused: maintenance?.popMaintenanceMode ?? null,
      bufferedMessages: maintenance?.bufferedMessages ?? null,
      status: null,
      mayAdminister: false,
    }
  }
}

export function fromStatus(status: MaintenanceStatus): MaintenanceView {
  return {
    stage: stageOf(status),
    on: status.maintenanceMode,
    popsPaused: status.popMaintenanceMode,
    bufferedMessages: status.bufferedMessages,
    status,
    mayAdminister: true,
  }
}

export function stageOf(status: MaintenanceStatus): Stage {
  if (status.phase === 'maintenance') return status.safeToMigrate ? 'safe' : 'entering'
  if (status.phase === 'draining') return 'draining'
  if (status.phase !== 'normal') return 'unknown'
  return status.stale || status.bufferStats.dbHealthy === false ? 'outage' : 'normal'
}
