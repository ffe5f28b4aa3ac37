/**
 * The one place that builds the parts of a broker and wires them together. It starts with PostgreSQL down: then pushes
 * go to the file buffer, and everything else comes up when the database does (G11).
 */
import { type Disk, openFileBuffer } from '@queen/file-buffer'
import type { Logger } from 'pino'
import type { Config } from './config/config.ts'
import { DATABASE_TIMEOUTS } from './config/timeouts.ts'
import { VERSION } from './config/version.ts'
import { PayloadCipher } from './engine/cipher.ts'
import { createConsumer } from './engine/consume/consumer.ts'
import { withoutUndecryptable } from './engine/consume/undecryptable.ts'
import { createEngine } from './engine/create-engine.ts'
import { DiskSpace } from './engine/disk-space.ts'
import { DelayedDrain } from './engine/drain/delayed-drain.ts'
import { createDrains } from './engine/drain/drains.ts'
import { createQuarantine } from './engine/drain/quarantine.ts'
import { QuarantineCount } from './engine/drain/quarantine-count.ts'
import { MessageIdSource } from './engine/format/message-id.ts'
import { KeyCheck } from './engine/key-check.ts'
import { Acceptance } from './engine/maintenance/acceptance.ts'
import { followDatabaseClock } from './engine/maintenance/follow-database-clock.ts'
import { upholdWindow } from './engine/maintenance/forgotten-window.ts'
import { FreezeWatch } from './engine/maintenance/freeze-watch.ts'
import { HostClock } from './engine/maintenance/host-clock.ts'
import { Maintenance } from './engine/maintenance/maintenance.ts'
import { MaintenanceControl } from './engine/maintenance/maintenance-control.ts'
import { sessionName } from './engine/maintenance/session-name.ts'
import { readSwitch } from './engine/maintenance/switch-state.ts'
import { DedupCache } from './engine/push/dedup-cache.ts'
import { Push } from './engine/push/push.ts'
import type { PushItem } from './engine/push/push-item.ts'
import { PushLanes, type StoredSegment } from './engine/push/push-lanes.ts'
import { prepareTransactionPush } from './engine/push/push-transaction.ts'
import { QueueDepth } from './engine/push/queue-depth.ts'
import { WriteRoute } from './engine/push/write-route.ts'
import { Catalog } from './engine/queues/catalog.ts'
import { createConfiguration } from './engine/queues/configure.ts'
import { createRemoval } from './engine/queues/removal.ts'
import { Activity } from './engine/reads/activity.ts'
import { meterEngine } from './engine/reads/metered-engine.ts'
import { expireMetrics, MetricsFlush } from './engine/reads/metrics-flush.ts'
import { createReads } from './engine/reads/reads.ts'
import { Stats } from './engine/reads/stats.ts'
import { createDeadLetters } from './engine/settle/dead-letters.ts'
import type { TransactionPush } from './engine/settle/transaction.ts'
import { createAuthentication } from './http/auth/authentication.ts'
import { connectionsMax } from './http/open-files.ts'
import { readPageFiles } from './http/page/page-files.ts'
import { createHttpServer } from './http/server.ts'
import type { HttpSettings } from './http/settings.ts'
import { clusterMetrics } from './observe/cluster-metrics.ts'
import { logBufferEvents } from './services/buffer-events.ts'
import { followState } from './services/follow-state.ts'
import { inOrder } from './services/in-order.ts'
import { measure } from './services/measure.ts'
import { OwnName } from './services/own-name.ts'
import { reportTransitions } from './services/report-transitions.ts'
import { openSchema } from './services/schema.ts'
import type { Service } from './services/service.ts'
import { upkeep } from './services/upkeep.ts'
import { createDrainStore } from './store/cluster-drain.ts'
import { createConsumeStore } from './store/consume-store.ts'
import { createDeadLetterStore } from './store/dead-letters.ts'
import { openDatabase, type QueenDatabase } from './store/pool/pool.ts'
import { createQuarantineStore } from './store/quarantine.ts'
import { createQueueStore } from './store/queues.ts'
import { createReadStores } from './store/reads/read-stores.ts'
import { createStatsStore } from './store/reads/stats.ts'
import { createRemovalStore } from './store/removal.ts'
import { migrate } from './store/schema/migrator.ts'
import { createSystemStore } from './store/system/system-store.ts'
import { createWriteStore } from './store/write-side.ts'

export interface Broker {
  readonly url: string
  stop(): Promise<void>
}

export interface BrokerOptions {
  readonly databaseUrl: string
  readonly log: Logger
  /** Where the built dashboard lies. */
  readonly pageDir?: string
  /** Where tests cut in: a disk that fails, a database that dies between two statements. */
  readonly seams?: { readonly disk?: Disk; readonly database?: (database: QueenDatabase) => QueenDatabase }
}

const HEARTBEAT_MS = 2_000
const REFRESH_MS = 5_000
const START_WAIT_MS = 1_000

/**
 * Parts are built in the order in which a message meets them: database, consuming, pushing, draining, maintenance, what looks,
 * the engine, what runs by itself, HTTP. Some name parts that are built further down, in functions that nobody calls before
 * everything stands; `control`, which a callback of the database may want earlier, is null until then.
 *
 * @throws SchemaError when the database's schema is not for this broker, FileBufferError when the buffer's directory
 * belongs to somebody else, NameTaken when the instance's name does, and node's error when the port cannot be opened.
 */
export async function startBroker(config: Config, options: BrokerOptions): Promise<Broker> {
  const { log, seams = {} } = options
  const nowMs = (): number => Date.now()
  const startedAtMs = nowMs()
  const clock = new HostClock()
  const { limits } = config
  const buffer = await openFileBuffer({
    directory: config.bufferDir,
    bufferBytesMax: limits.bufferBytesMax,
    diskFreeBytesMin: limits.bufferDiskFreeBytesMin,
    recordClock: clock.nowMs,
    ...(seams.disk === undefined ? {} : { disk: seams.disk }),
    onEvent: logBufferEvents(log),
  })
  const instanceId = config.instanceId ?? `q-${(buffer.formerIds.at(-1) ?? buffer.bufferId).slice(0, 8)}`
  let control: MaintenanceControl | null = null
  let schemaTried = false
  const opened = openDatabase({
    url: options.databaseUrl,
    applicationName: sessionName(instanceId),
    poolSize: config.databasePoolSize,
    ...DATABASE_TIMEOUTS,
    log,
    onOtherDatabase: () => {
      // Its offsets may stand for other messages, of this buffer it may have less, and not know that this instance is there.
      dedup.clear()
      catalog.startOver()
      consumer.forgetSegments()
      cluster.expectOlder()
      key.askAgain()
      if (schemaTried) heartbeat.nudge()
      // Nothing may go direct before that has been looked at; everywhere else the drain comes by itself.
      if (control?.state === 'direct') control.handle('lost')
    },
    onStateChange: (state) => {
      consumer.setDatabaseAvailable(state === 'connected')
      // Before that the first look at the schema is under way, whose failure ends the start with one sentence.
      if (state === 'connected' && schemaTried) void control?.refresh()
    },
  })
  const database = seams.database?.(opened) ?? opened
  const databaseUp = (): boolean => database.connectionState === 'connected'
  const schema = openSchema(() => migrate(database), log)
  const system = createSystemStore(database)
  const queueStore = createQueueStore(database)
  const writeStore = createWriteStore(database, instanceId)
  const quarantined = new QuarantineCount(buffer)
  const cipher = config.encryptionKey === null ? null : new PayloadCipher(config.encryptionKey)
  const key = new KeyCheck({ cipher, log, keepSealed: (sealed) => system.keepOnce('encryption_check', sealed) })
  const stats = new Stats(createStatsStore(database))
  const catalog = new Catalog({ store: queueStore, log, nowMs, onChange: () => stats.queuesChanged() })

  const announce = (queueId: string, partitionId: string): void =>
    database.listener.notify('queen_stored', `${queueId} ${partitionId}`)
  const consumer = createConsumer({
    store: createConsumeStore(database),
    catalog,
    log,
    settings: { segmentCacheBytesMax: limits.segmentCacheBytesMax, waitingPopsMax: limits.waitingPopsMax },
    notificationsWork: () => database.listener.connected,
    hint: announce,
    preparePush: (items) => preparePush(items),
  })
  const preparePush = (items: readonly PushItem[]): Promise<TransactionPush> =>
    prepareTransactionPush(
      {
        store: writeStore,
        dedup,
        ids,
        nowMs,
        prepare: (list) => push.prepare(list),
        forget: (queue) => catalog.forget(queue),
        onStored,
      },
      items,
    )
  const activity = new Activity()
  const onStored = (stored: StoredSegment): void => {
    activity.stored(stored.partition.queue.name, stored.segment.write.count)
    consumer.onStored(stored)
    announce(stored.partition.queue.id, stored.partition.id)
  }

  const route = new WriteRoute()
  const dedup = new DedupCache(limits.dedupCacheBytesMax)
  const ids = new MessageIdSource()
  const acceptance = new Acceptance(() => clock.nowMicros())
  // Half of what the others wait: heartbeats and reports lie in between.
  const freeze = new FreezeWatch(limits.bufferHandoffTimeoutMs / 2)
  const delayed = new DelayedDrain(() => control?.drainDelayed())
  const lanes: PushLanes = new PushLanes({
    store: writeStore,
    dedup,
    ids,
    route,
    nowMs,
    divert: (items, lostFlush) => push.buffer(items, lostFlush),
    // At once, before the switch is read: what comes after the diverted flush must not overtake it.
    onDiverted: () => {
      control?.handle('on')
      void control?.refresh()
    },
    onUnavailable: (error) => control?.lost(error),
    onStored,
    onConfigVersion: (version) => catalog.noticeVersion(version),
    onGone: async (partition) => {
      catalog.forget(partition.queue.name)
      return catalog.ensurePartition(partition.queue.name, partition.name)
    },
    onDefect: (error) => log.error({ err: error }, 'a flush failed'),
  })
  const push: Push = new Push({
    catalog,
    route,
    lanes,
    log: buffer,
    ids,
    cipher,
    key,
    depth: new QueueDepth(writeStore, nowMs),
    delayed,
    acceptance,
    freeze,
    confirm: (record) => control?.confirm(record) ?? Promise.resolve(),
    nowMs,
    onUnavailable: (error) => control?.lost(error),
    // Should this process die now, the others are to know that it left something behind.
    onFilling: () => heartbeat.nudge(),
  })
  const drainStore = createDrainStore(database, instanceId)
  const inFlight = (): number => acceptance.running + (lanes.empty ? 0 : 1)
  const { drain, cluster } = createDrains({
    instanceId,
    store: writeStore,
    drainStore,
    buffer,
    catalog,
    dedup,
    ids,
    cipher,
    key,
    clock,
    acceptance,
    quarantined,
    inFlight,
    handoffTimeoutMs: limits.bufferHandoffTimeoutMs,
    onStored,
    onProgress: (records) => {
      control?.meter.add(records)
      delayed.progressed()
      transitions.progress()
    },
    onSetAside: (entries) => transitions.setAside(entries),
    onFinished: (counts) => transitions.drained(counts),
  })
  control = new MaintenanceControl({
    readSwitch: async () => {
      await schema.ready()
      // Also in a window: what is sealed with a wrong key and buffered is no use to anybody.
      await key.verdict()
      const state = await system.readSystemState()
      catalog.noticeVersion(state.configVersion)
      maintenance.learnPopSwitch(state.popMaintenance)
      return readSwitch(state.maintenance)
    },
    upholdWindow: (known) => upholdWindow(system, log, known),
    // Nothing that was sealed with a wrong key must be stored.
    beforeWrites: () => key.verdict(),
    log: buffer,
    route,
    delayed,
    drain,
    cluster,
    inFlight,
    appending: () => acceptance.running,
    freeze,
    lanesIdle: () => lanes.idle(),
    wakeLanes: () => lanes.wake(),
    nowMs,
    report: log,
    onChange: (from, to) => transitions.follow(from, to),
  })
  const maintenance: Maintenance = new Maintenance({
    system,
    control,
    log: buffer,
    quarantined,
    self: {
      id: instanceId,
      hostname: config.hostname,
      pid: process.pid,
      startedAt: new Date(startedAtMs).toISOString(),
    },
    nowMs: clock.wholeMs,
    databaseUp,
    onPopMaintenance: (on) => consumer.pausePops(on),
    onInstances: (rows) => {
      acceptance.farAway = rows.some((row) => row.hostname !== config.hostname)
    },
    clock: () => clock.view,
    onDatabaseTime: followDatabaseClock(clock, log, instanceId, () => {
      const joins = control?.state === 'gathering' || control?.state === 'barrier'
      return joins || buffer.stats.pendingRecords > 0 || acceptance.running > 0
    }),
  })
  const name = new OwnName({ heartbeat: () => maintenance.heartbeat(), nowMs, log })
  const transitions = reportTransitions({ control, maintenance, system, buffer, quarantined, instanceId, nowMs, log })
  const configuration = createConfiguration({
    store: queueStore,
    catalog,
    encryption: cipher !== null,
    log,
    onDelete: () => stats.queuesChanged(),
  })
  const stores = createReadStores(database)
  let port = config.port
  const flush = new MetricsFlush({
    activity,
    store: stores.metrics,
    stats,
    identity: () => ({ instanceId, hostname: config.hostname, pid: process.pid, port }),
  })
  const wake = (queueId: string, partitionId: string): void => {
    consumer.onHint(queueId, [partitionId])
    announce(queueId, partitionId)
  }
  const groupMoved = (group: string, queue: string | null): void => {
    consumer.groupMoved(group, queue)
    database.listener.notify('queen_groups', JSON.stringify([group, queue]))
  }
  const removalStore = createRemovalStore(database, instanceId)
  const removal = createRemoval({ store: removalStore, messages: stores.messages, activity, log, wake })
  const quarantine = createQuarantine({
    store: createQuarantineStore(database),
    log: buffer,
    cipher,
    instanceId,
    phase: () => control.phase,
    instances: () => maintenance.others(),
    preparePush,
  })
  let stopping = false
  const plain = createEngine({
    reads: createReads({
      stores,
      stats,
      flush,
      cipher,
      log,
      wake,
      groupMoved,
      maintenance: async () => {
        const { phase, popMaintenanceMode, bufferedMessages } = await maintenance.status()
        return { phase, popMaintenanceMode, bufferedMessages }
      },
      nowMs,
    }),
    configuration,
    push,
    delayed,
    consumer,
    deadLetters: createDeadLetters({ store: createDeadLetterStore(database), cipher, log }),
    maintenance,
    control,
    quarantine,
    quarantineCount: quarantined,
    diskSpace: new DiskSpace(limits, log),
    keyVerdict: () => key.known,
    withoutUndecryptable: (answer) => withoutUndecryptable({ cipher, key, consumer, log }, answer),
    log: buffer,
    route,
    instanceId,
    startedAtMs,
    databaseUp,
    databasePool: () => database.stats(),
    stopping: () => stopping,
    nowMs,
  })
  const engine = meterEngine(plain, activity)
  const quiet = (error: unknown): void => log.debug({ err: error }, 'a periodic task failed; it goes on')
  const heartbeat = name.periodically(HEARTBEAT_MS, quiet)
  const services: Service[] = [
    heartbeat,
    followState({ listener: database.listener, control, maintenance, consumer, pauseMs: REFRESH_MS, onError: quiet }),
    ...upkeep({
      config,
      system,
      configuration,
      stats,
      schemaReady: () => schema.ready(),
      removal,
      quarantine,
      key: cipher === null ? null : key,
      databaseUp,
      isNormal: () => control.phase === 'normal',
      onError: quiet,
    }),
    measure({
      flush,
      health: () => engine.health(),
      expire: () => expireMetrics(stores.metrics, config.metricsRetentionDays),
      onError: quiet,
    }),
  ]

  const http = await createHttpServer(engine, {
    ...httpSettings(config, options),
    instanceId,
    cipher,
    metrics: clusterMetrics({ metrics: stores.metrics, stats, databaseUp, nowMs }),
  })
  async function stop(): Promise<void> {
    stopping = true
    await inOrder([
      () => http.close(),
      () => Promise.allSettled(services.map((service) => service.stop())),
      () => freeze.stop(),
      () => consumer.stop(),
      () => lanes.idle(),
      () => control!.stop(),
      // An instance that left nothing behind is not waited for.
      async () => {
        if (name.held && databaseUp() && buffer.stats.pendingRecords === 0 && buffer.stats.quarantinedRecords === 0)
          await drainStore.leave(instanceId).catch(quiet)
      },
      () => catalog.stop(),
      () => database.close(),
      () => buffer.close(),
    ])
  }
  try {
    // A schema that is not for this broker must end the start; a database that is away must not.
    await schema.attempt()
    schemaTried = true
    if (database.connectionState !== 'disconnected') await name.claim()
    freeze.start()
    await control.start()
    // Who might hold messages has to be known before it does.
    if (databaseUp()) await maintenance.heartbeat().catch(quiet)
    consumer.start()
    for (const service of services) service.start()
    // With nothing buffered the way to PostgreSQL opens within milliseconds: the first push should find it open.
    if (databaseUp() && control.phase !== 'maintenance') await route.direct(START_WAIT_MS)
    const url = await http.listen(config.host, config.port)
    port = Number(new URL(url).port)
    return { url, stop }
  } catch (error) {
    await stop().catch(() => {})
    throw error
  }
}

/** What the configuration says of the HTTP layer. */
function httpSettings(config: Config, { log, pageDir }: BrokerOptions): Omit<HttpSettings, 'instanceId'> {
  const { authentication, corsOrigins, databasePoolSize, defaultSubscriptionMode, limits } = config
  return {
    limits: {
      bodyBytesMax: limits.bodyBytesMax,
      bodiesBytesMax: limits.requestsInFlightBytesMax,
      payloadBytesMax: limits.payloadBytesMax,
      connectionsMax: connectionsMax(databasePoolSize),
    },
    corsOrigins: corsOrigins === '*' ? [] : corsOrigins,
    version: VERSION,
    log,
    subscriptionModeDefault: defaultSubscriptionMode,
    ...(authentication === null ? {} : { authenticate: createAuthentication(authentication, log) }),
    ...(pageDir === undefined ? {} : { pageFiles: readPageFiles(pageDir) }),
  }
}
