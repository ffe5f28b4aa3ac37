/** A real broker on a database of its own, and a client for it. Both are gone when the test file is done. */
import { mkdtempSync, rmSync } from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { createDatabase } from '@queen/embedded-postgres/testing'
import { afterAll, beforeAll } from 'vitest'
import { type Broker, startBroker } from '../../../broker/src/app.ts'
import { readConfig } from '../../../broker/src/config/read-config.ts'
import { createLog } from '../../../broker/src/observe/log.ts'

/** `settings`: more of the broker's environment. */
export function realBroker(settings: Readonly<Record<string, string>> = {}): { readonly url: string } {
  let broker: Broker | undefined
  let drop: (() => Promise<void>) | undefined
  const directory = mkdtempSync(join(tmpdir(), 'queen-client-broker-'))

  beforeAll(async () => {
    const database = await createDatabase()
    drop = () => database.drop()
    const environment = {
      PORT: '0',
      QUEEN_DATA_DIR: directory,
      DATABASE_URL: database.url,
      LOG_LEVEL: 'fatal',
      ...settings,
    }
    const { config } = readConfig(environment, { workingDir: '/', projectDir: '/', hostname: hostname() })
    broker = await startBroker(config, { databaseUrl: database.url, log: createLog(config.log) })
    // A broker accepts pushes before it has looked at its database, and buffers them: these tests begin after that.
    for (;;) {
      const ready = (await (await fetch(`${broker.url}/health/ready`)).json()) as { accepts?: string }
      if (ready.accepts === 'direct') return
    }
  })

  afterAll(async () => {
    await broker?.stop()
    await drop?.()
    rmSync(directory, { recursive: true, force: true })
  })

  return {
    get url() {
      return broker!.url
    },
  }
}
