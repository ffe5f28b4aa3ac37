/**
 * The ceiling: the broker's own HTTP server in front of an engine that stores nothing. It parses the same bodies and
 * answers the same bytes, so what a push costs above it is what storing costs. An executable; prints its URL.
 */
import { pino } from 'pino'
import type { Engine } from '../../packages/broker/src/engine/engine.ts'
import type { PushItem } from '../../packages/broker/src/engine/push/push-item.ts'
import { createHttpServer } from '../../packages/broker/src/http/server.ts'

const MESSAGE_ID = '01a20857-5575-7000-b149-144250048d64'
const PARTITION_ID = '8f7e6d5c-4b3a-4291-8e7f-2d9c5b8a3e10'

async function pushMessages(items: PushItem[]): Promise<void> {
  for (const item of items) {
    item.status = 'queued'
    item.idBase = MESSAGE_ID
    item.partitionId = PARTITION_ID
    if (!item.isNamed) item.nameIt(MESSAGE_ID)
  }
}

// Only pushes are sent here; any other call would fail, and be seen.
const engine = { pushMessages } as unknown as Engine
const server = await createHttpServer(engine, {
  corsOrigins: [],
  version: '0.0.0',
  instanceId: 'ceiling',
  log: pino({ level: 'warn' }),
})
process.once('SIGTERM', () => void server.close().then(() => process.exit(0)))
process.stdout.write(`${await server.listen('127.0.0.1', 0)}\n`)
