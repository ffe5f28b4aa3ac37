/**
 * The rows in the order they run in: what is compared with each other stands together. Latency comes first: at 200 messages a
 * second it measures waiting, and minutes of full load leave vacuuming and dirty pages behind that others wait for.
 */
import { besideRows } from './beside.ts'
import { bufferedRows } from './buffered.ts'
import { clientRows } from './client.ts'
import { clusterWindowRow } from './cluster-window.ts'
import { dashboardRow } from './dashboard.ts'
import { idleRow } from './idle.ts'
import { latencyRows } from './latency.ts'
import { maintenanceCostRows } from './maintenance-cost.ts'
import { popRows } from './pop.ts'
import { pushRows } from './push.ts'
import type { Row } from './row.ts'
import { statisticsRows } from './statistics.ts'

export function allRows(): Row[] {
  return [
    idleRow,
    ...latencyRows(),
    ...pushRows(),
    ...popRows(),
    ...clientRows(),
    ...bufferedRows(),
    clusterWindowRow,
    ...besideRows(),
    dashboardRow,
    ...maintenanceCostRows(),
    ...statisticsRows(),
  ]
}
