/** A real broker on a database of its own. Both are gone when the test file is done. */
import { mkdtempSync, rmSync } from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { createDatabase } from '@queen/embedded-postgres/testing'
import { afterAll, beforeAll } from 'vitest'
import { type Broker, startBroker } from '../../../broker/src/app.ts'
import { readConfig } from '../../../broker/src/config/read-config.ts'
import { createLog } from '../../../broker/src/observe/log.ts'

export interface RealBroker {
  readonly url: string
  readonly databaseUrl: string
  readonly bufferDir: string
  /** Stops it; `start` brings it back on the same port, with the same files. */
  stop(): Promise<void>
  start(): Promise<void>
}

export function realBroker(): RealBroker {
  let broker: Broker | undefined
  let databaseUrl = ''
  let port = '0'
  let drop: (() => Promise<void>) | undefined
  const directory = mkdtempSync(join(tmpdir(), 'queenctl-broker-'))
  const bufferDir = join(directory, 'buffer')

  const start = async (): Promise<void> => {
    const environment = {
      PORT: port,
      QUEEN_DATA_DIR: directory,
      FILE_BUFFER_DIR: bufferDir,
      DATABASE_URL: databaseUrl,
      LOG_LEVEL: 'fatal',
    }
    const { config } = readConfig(environment, { workingDir: '/', projectDir: '/', hostname: hostname() })
    broker = await startBroker(config, { databaseUrl, log: createLog(config.log) })
    port = new URL(broker.url).port
    // A broker accepts pushes before it has looked at its database, and buffers them: these tests begin after that.
    for (;;) {
      const answer = await fetch(`${broker.url}/health/ready`)
      const { accepts } = (await answer.json()) as { accepts?: string }
      if (accepts === 'direct' || accepts === 'buffered') return
    }
  }
  const stop = async (): Promise<void> => {
    await broker?.stop()
    broker = undefined
  }

  beforeAll(async () => {
    const database = await createDatabase()
    drop = () => database.drop()
    databaseUrl = database.url
    await start()
    for (;;) {
      const ready = (await (await fetch(`${broker!.url}/health/ready`)).json()) as { accepts?: string }
      if (ready.accepts === 'direct') return
    }
  })

  afterAll(async () => {
    await stop()
    await drop?.()
    rmSync(directory, { recursive: true, force: true })
  })

  return {
    get url() {
      return `http://127.0.0.1:${port}`
    },
    get databaseUrl() {
      return databaseUrl
    },
    bufferDir,
    start,
    stop,
  }
}
