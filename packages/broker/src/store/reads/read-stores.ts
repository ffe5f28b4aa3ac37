/** The stores behind the reads, all on the pool that the message paths do not use. */
import type { ReadStores } from '../../engine/reads/reads.ts'
import type { Database } from '../sql.ts'
import { createDiagnosisStore } from './diagnosis.ts'
import { createGroupStore } from './groups.ts'
import { createMessageActions } from './message-actions.ts'
import { createMessageReads } from './messages.ts'
import { createMetricsStore } from './metrics.ts'
import { createResourceStore } from './resources.ts'
import { createTraceStore } from './traces.ts'

export function createReadStores(database: Pick<Database, 'admin' | 'transaction'>): ReadStores {
  return {
    messages: { ...createMessageReads(database), ...createMessageActions(database) },
    groups: createGroupStore(database),
    traces: createTraceStore(database),
    resources: createResourceStore(database),
    metrics: createMetricsStore(database),
    diagnosis: createDiagnosisStore(database),
  }
}
