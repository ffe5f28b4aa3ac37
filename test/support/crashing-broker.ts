/**
 * The broker over a disk and a database that kill the process at a named point: see crash-point.ts. Everything else is
 * as in main.ts. The point comes with QUEEN_TEST_CRASH_AT, or later as a message {crashAt} from the parent process;
 * {diskError} makes the disk fail without killing anybody.
 */
import { hostname } from 'node:os'
import { startBroker } from '../../packages/broker/src/app.ts'
import { readConfig } from '../../packages/broker/src/config/read-config.ts'
import { createLog } from '../../packages/broker/src/observe/log.ts'
import { crashDatabase } from './crash-database.ts'
import { crashDisk } from './crash-disk.ts'
import { CrashSwitch } from './crash-point.ts'

const crash = new CrashSwitch(process.env.QUEEN_TEST_CRASH_AT)
process.on('message', (message: { crashAt: string } | { diskError: 'EIO' | 'ENOSPC' | null }) => {
  if ('crashAt' in message) crash.arm(message.crashAt)
  else crash.diskError = message.diskError
  process.send!('done')
})
// The test is gone: nobody would ever end this process.
process.on('disconnect', () => process.exit(1))

const { config } = readConfig(process.env, { workingDir: '/', projectDir: '/', hostname: hostname() })
const broker = await startBroker(config, {
  databaseUrl: process.env.DATABASE_URL!,
  log: createLog(config.log),
  seams: { disk: crashDisk(crash), database: (database) => crashDatabase(database, crash) },
})
process.on('SIGTERM', () => void broker.stop().then(() => process.exit(0)))
process.stdout.write(`API and dashboard   ${broker.url}\n`)
