/** Builds the stage of a run: PostgreSQL, proxies, disks, instances; everything ends with the run. */
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { createDatabase } from '@queen/embedded-postgres/testing'
import { Instance } from '../support/instance.ts'
import { atEnd, temporaryPostgres } from '../support/leftovers.ts'
import { until } from '../support/until.ts'
import { BufferDisk } from './buffer-disk.ts'
import type { History } from './history.ts'
import type { Random } from './random.ts'
import type { Stage } from './stage.ts'
import { TcpProxy } from './tcp-proxy.ts'
import { Traffic } from './traffic.ts'

export const INSTANCES = 3
const CHAOS_BROKER = fileURLToPath(new URL('chaos-broker.ts', import.meta.url))

export async function setUp(history: History, random: Random, lyingDisk: boolean): Promise<Stage> {
  const postgres = await temporaryPostgres({ max_connections: '200' })
  const database = await createDatabase(postgres.url)
  const proxies: TcpProxy[] = []
  const disks: BufferDisk[] = []
  const instances: Instance[] = []
  for (let index = 0; index < INSTANCES; index++) {
    const proxy = await TcpProxy.open(postgres.port)
    atEnd(() => proxy.close())
    proxies.push(proxy)
    const disk = new BufferDisk()
    disks.push(disk)
    const url = new URL(database.url)
    url.port = String(proxy.port)
    const instance = new Instance({
      databaseUrl: url.href,
      bufferDir: disk.directory,
      script: CHAOS_BROKER,
      env: {
        LOG_FORMAT: 'json',
        LOG_LEVEL: 'debug',
        INSTANCE_ID: `chaos-${index}`,
        // Up to its last byte: the disk itself is to say that it is full.
        FILE_BUFFER_DISK_FREE_BYTES_MIN: '0',
        QUEEN_TEST_LYING_DISK: String(lyingDisk),
      },
    })
    atEnd(() => instance.kill9())
    instances.push(instance)
  }
  await Promise.all(instances.map((instance) => instance.start()))
  for (const instance of instances) await until('it is normal', async () => (await instance.phase()) === 'normal')
  const traffic = new Traffic(instances)
  return { instances, proxies, disks, traffic, postgres, databaseUrl: database.url, history, random: random.fork() }
}

/** The most memory each process ever had, where the system tells. */
export async function memoryOf(instances: readonly Instance[]): Promise<number[]> {
  const texts = await Promise.all(instances.map(({ pid }) => readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')))
  return texts.map((text) => Number(/^VmHWM:\s+(\d+) kB/m.exec(text)?.[1] ?? 0) * 1024).filter((bytes) => bytes > 0)
}
