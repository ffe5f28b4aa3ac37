/** Samples this process every few seconds and has the counts stored at each full minute. */
import { readFileSync } from 'node:fs'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { Health } from '../engine/engine.ts'
import type { MetricsFlush } from '../engine/reads/metrics-flush.ts'
import { Periodic } from './periodic.ts'
import type { Service } from './service.ts'

export interface MeasureParts {
  readonly flush: MetricsFlush
  readonly health: () => Health
  /** Time series older than they are kept for. */
  readonly expire: () => Promise<void>
  readonly onError: (error: unknown) => void
}

// Six samples a minute show a stall without costing anything.
const SAMPLE_MS = 10_000
const MINUTE_MS = 60_000
const RETRY_MS = 5_000
const EXPIRE_MS = 5 * MINUTE_MS
// Sampling every 20 ms costs nothing measurable and sees every stall that a client could notice.
const RESOLUTION_MS = 20
const PAGE_BYTES = 4096

export function measure(parts: MeasureParts): Service {
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
  let cpu = process.cpuUsage()
  let cpuAtMs = performance.now()
  let timer: NodeJS.Timeout | null = null
  let again: NodeJS.Timeout | null = null
  let flushing: Promise<void> = Promise.resolve()

  const sampling = new Periodic({
    name: 'samples',
    pauseMs: SAMPLE_MS,
    immediately: true,
    async work() {
      // Asked at least this often, it also notices a disk that runs short.
      const { databasePool, buffer } = parts.health()
      const used = process.cpuUsage(cpu)
      const spanUs = Math.max(1, (performance.now() - cpuAtMs) * 1000)
      cpu = process.cpuUsage()
      cpuAtMs = performance.now()
      // The histogram holds the whole interval between samples; only what exceeds the resolution is lag.
      const lag = (nanoseconds: number): number | null =>
        delay.count === 0 ? null : Math.max(0, nanoseconds / 1e6 - RESOLUTION_MS)
      parts.flush.sample({
        eventLoopLagMs: lag(delay.mean),
        eventLoopLagPeakMs: lag(delay.max),
        freeSlots: Math.max(0, databasePool.max - databasePool.size + databasePool.idle),
        jobQueueSize: databasePool.waiting,
        poolSize: databasePool.size,
        poolIdle: databasePool.idle,
        poolActive: databasePool.size - databasePool.idle,
        cpuUserPercent: (used.user / spanUs) * 100,
        cpuSystemPercent: (used.system / spanUs) * 100,
        rssBytes: process.memoryUsage.rss(),
        virtualBytes: virtualBytes(),
        bufferPending: buffer.bufferedMessages,
        bufferBytes: buffer.bufferedBytes,
      })
      delay.reset()
    },
    onError: parts.onError,
  })
  const expiring = new Periodic({
    name: 'metrics retention',
    pauseMs: EXPIRE_MS,
    work: parts.expire,
    onError: parts.onError,
  })

  /** Just after each full minute, so that what is counted belongs to one. */
  function schedule(): void {
    timer = setTimeout(
      () => {
        flushing = store()
        schedule()
      },
      MINUTE_MS - (Date.now() % MINUTE_MS) + 5,
    )
  }

  /** A minute that could not be stored is tried again until the next is due: later it would count with that one. */
  async function store(): Promise<void> {
    if (again !== null) clearTimeout(again)
    again = null
    try {
      await parts.flush.flush()
    } catch (error) {
      parts.onError(error)
      if (timer !== null) again = setTimeout(() => (flushing = store()), RETRY_MS)
    }
  }

  return {
    name: 'measure',
    start() {
      if (timer !== null) return
      delay.enable()
      sampling.start()
      expiring.start()
      schedule()
    },
    async stop() {
      if (timer !== null) clearTimeout(timer)
      timer = null
      if (again !== null) clearTimeout(again)
      again = null
      delay.disable()
      await Promise.all([sampling.stop(), expiring.stop(), flushing])
      // What was counted since the last full minute; a database that is away must not delay the stop for it.
      await parts.flush.flush().catch(parts.onError)
    },
  }
}

/** Linux only; elsewhere unknown. */
function virtualBytes(): number | null {
  try {
    return Number(readFileSync('/proc/self/statm', 'latin1').split(' ')[0]) * PAGE_BYTES
  } catch {
    return null
  }
}
