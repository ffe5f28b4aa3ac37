/** A process that starts a server, says so, and waits to be killed. argv: data directory, 'ephemeral' or 'kept'. */
import { startPostgres } from '../src/index.ts'

const [dataDir, kind] = process.argv.slice(2) as [string, string]
try {
  const { url, pid, dataDir: actual } = await startPostgres({ dataDir, ephemeral: kind === 'ephemeral' })
  process.stdout.write(`${JSON.stringify({ url, pid, dataDir: actual })}\n`)
  setInterval(() => {}, 1 << 30)
} catch (error) {
  process.stdout.write(`${JSON.stringify({ error: (error as Error).message })}\n`)
}
