/** Everything a fault can take hold of. */
import type { EmbeddedPostgres } from '@queen/embedded-postgres'
import type { Instance } from '../support/instance.ts'
import type { BufferDisk } from './buffer-disk.ts'
import type { History } from './history.ts'
import type { Random } from './random.ts'
import type { TcpProxy } from './tcp-proxy.ts'
import type { Traffic } from './traffic.ts'

export interface Stage {
  readonly instances: readonly Instance[]
  readonly proxies: readonly TcpProxy[]
  /** Each instance's buffer lies on one. */
  readonly disks: readonly BufferDisk[]
  readonly traffic: Traffic
  readonly postgres: EmbeddedPostgres
  /** Of the database itself, past the proxies. */
  readonly databaseUrl: string
  readonly history: History
  readonly random: Random
}

/** Notes when something begins and ends. */
export async function during(stage: Stage, kind: string, detail: string, work: () => Promise<void>): Promise<void> {
  const fault = stage.history.begin(kind, detail)
  try {
    await work()
  } finally {
    stage.history.end(fault)
  }
}
