/** The broker over a disk whose mood the parent process decides: messages {mood}. Everything else is as in main.ts. */
import { hostname } from 'node:os'
import { startBroker } from '../../packages/broker/src/app.ts'
import { readConfig } from '../../packages/broker/src/config/read-config.ts'
import { createLog } from '../../packages/broker/src/observe/log.ts'
import { ChaosDisk, type DiskMood } from './chaos-disk.ts'

const disk = new ChaosDisk({ lies: process.env.QUEEN_TEST_LYING_DISK === 'true' })
process.on('message', (message: { mood: DiskMood }) => {
  disk.mood = message.mood
})
// The run is gone: nobody would ever end this process.
process.on('disconnect', () => process.exit(1))

const { config } = readConfig(process.env, { workingDir: '/', projectDir: '/', hostname: hostname() })
const broker = await startBroker(config, {
  databaseUrl: process.env.DATABASE_URL!,
  log: createLog(config.log),
  seams: { disk: disk.disk },
})
process.on('SIGTERM', () => void broker.stop().then(() => process.exit(0)))
process.stdout.write(`API and dashboard   ${broker.url}\n`)
