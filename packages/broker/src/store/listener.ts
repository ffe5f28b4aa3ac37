/**
 * NOTIFY both ways on one connection of its own, which reconnects by itself.
 *
 * Sending is outside of every message transaction, because NOTIFY inside one makes commits queue up behind each other.
 * What is sent while a send is under way goes with the next one, equal notifications once.
 *
 * Notifications are hints: they are lost while the connection is down, so whoever listens looks for itself after
 * `onConnected` and from time to time; and whoever could not send says so (MISSED) once it can. Never relied on for
 * correctness.
 */
import type { Log } from '../ports/log.ts'
import { MISSED } from '../ports/notifications.ts'
import type { DatabaseConnection } from './pool/connection.ts'

export interface Listener {
  /** Whether notifications arrive at present. */
  readonly connected: boolean
  /** One or more handlers a channel; `own` = sent by this very listener. Returns the way to unsubscribe. */
  on(channel: string, handler: (payload: string, own: boolean) => void): () => void
  /** Called after every (re)connection: whatever was notified in between is lost. */
  onConnected(handler: () => void): () => void
  /**
   * Sends soon. Dropped while disconnected or when too many wait, which the channel then is told of (MISSED), and when the
   * payload exceeds 7999 bytes of UTF-8.
   */
  notify(channel: string, payload: string): void
  close(): void
}

export interface ListenerOptions {
  readonly open: () => Promise<DatabaseConnection>
  readonly statementTimeoutMs: number
  readonly log: Log
}

// Between two sends: a NOTIFY is a transaction, and 50 of them a second are nothing for the server while 20 ms are
// nothing for a consumer of another instance.
const SEND_PAUSE_MS = 20
// One second's worth at the far end of what one instance can touch; more hints would not be worth their bytes.
const PENDING_MAX = 1_000
// PostgreSQL's own limit: 8000 with the terminating zero.
const PAYLOAD_BYTES_MAX = 7_999
const RECONNECT_PAUSE_MS_MIN = 100
const RECONNECT_PAUSE_MS_MAX = 2_000
// Without traffic a connection that was cut off in silence is noticed by asking.
const HEARTBEAT_MS = 10_000

const NOTIFY = 'SELECT pg_catalog.pg_notify(c, p) FROM unnest($1::text[], $2::text[]) AS n(c, p)'

export function createListener(options: ListenerOptions): Listener {
  const handlers = new Map<string, Set<(payload: string, own: boolean) => void>>()
  const connectedHandlers = new Set<() => void>()
  const pending = new Map<string, readonly [channel: string, payload: string]>()
  /** Channels with something to say that was not said. */
  const missed = new Set<string>()
  let connection: DatabaseConnection | null = null
  let listening = new Set<string>()
  let connected = false
  let busy = false
  let closed = false
  let pauseMs = RECONNECT_PAUSE_MS_MIN
  let timer: NodeJS.Timeout | null = null
  /** On its way, not known to have arrived. */
  let sending: (readonly [channel: string, payload: string])[] = []

  const wakeIn = (ms: number): void => {
    if (closed) return
    if (timer !== null) clearTimeout(timer)
    timer = setTimeout(() => {
      timer = null
      void step()
    }, ms)
    timer.unref()
  }

  /** The one loop: connect, LISTEN to what is wanted, send what waits, else ask whether the server is there. */
  async function step(): Promise<void> {
    if (busy || closed) return
    busy = true
    try {
      const current = connection ?? (await connect())
      if (closed) {
        current.close()
        return
      }
      const missing = [...handlers.keys()].filter((channel) => !listening.has(channel))
      if (missing.length > 0) {
        const commands = missing.map((channel) => `LISTEN "${channel.replaceAll('"', '""')}"`).join('; ')
        await current.command(commands, options.statementTimeoutMs, false)
        for (const channel of missing) listening.add(channel)
      } else if (pending.size > 0) {
        const batch = [...pending.values()]
        pending.clear()
        sending = batch
        const values = [batch.map(([channel]) => channel), batch.map(([, payload]) => payload)]
        await current.run('notify', NOTIFY, values, options.statementTimeoutMs, false)
        sending = []
      } else if (connected) {
        await current.run('listener_alive', 'SELECT 1 AS one', [], options.statementTimeoutMs, false)
      }
      if (!connected) {
        connected = true
        pauseMs = RECONNECT_PAUSE_MS_MIN
        tellMissed()
        for (const handler of connectedHandlers) handler()
      }
    } catch (error) {
      options.log.debug({ error: (error as Error).message }, 'the notification connection failed')
      // A refused statement (a role without rights, a payload too long) must not spin: the pause applies to it too.
      connection?.destroy()
    } finally {
      busy = false
    }
    if (connection === null || connection.broken) {
      disconnected()
      wakeIn(pauseMs)
      pauseMs = Math.min(pauseMs * 2, RECONNECT_PAUSE_MS_MAX)
    } else {
      const more = pending.size > 0 || [...handlers.keys()].some((channel) => !listening.has(channel))
      wakeIn(more ? SEND_PAUSE_MS : HEARTBEAT_MS)
    }
  }

  async function connect(): Promise<DatabaseConnection> {
    const opened = await options.open()
    connection = opened
    listening = new Set()
    opened.onNotification((channel, payload, processId) => {
      for (const handler of handlers.get(channel) ?? []) handler(payload, processId === opened.processId)
    })
    opened.onBroken = () => {
      if (connection !== opened || busy) return
      disconnected()
      wakeIn(0)
    }
    return opened
  }

  function disconnected(): void {
    connection = null
    connected = false
    for (const [channel] of [...pending.values(), ...sending]) missed.add(channel)
    pending.clear()
    sending = []
  }

  function tellMissed(): void {
    for (const channel of missed) pending.set(`${channel}\0${MISSED}`, [channel, MISSED])
    missed.clear()
  }

  wakeIn(0)
  return {
    get connected() {
      return connected
    },
    on(channel, handler) {
      const set = handlers.get(channel) ?? new Set()
      set.add(handler)
      handlers.set(channel, set)
      if (!busy && connection !== null) wakeIn(0)
      return () => set.delete(handler)
    },
    onConnected(handler) {
      connectedHandlers.add(handler)
      if (connected) handler()
      return () => connectedHandlers.delete(handler)
    },
    notify(channel, payload) {
      if (Buffer.byteLength(payload) > PAYLOAD_BYTES_MAX) return
      if (!connected) missed.add(channel)
      // Too many to name: "look for yourself" stands for the rest.
      else if (pending.size >= PENDING_MAX) pending.set(`${channel}\0${MISSED}`, [channel, MISSED])
      if (!connected || pending.size >= PENDING_MAX) return
      pending.set(`${channel}\0${payload}`, [channel, payload])
      if (!busy && pending.size === 1) wakeIn(SEND_PAUSE_MS)
    },
    close() {
      closed = true
      if (timer !== null) clearTimeout(timer)
      connection?.close()
      disconnected()
    },
  }
}
