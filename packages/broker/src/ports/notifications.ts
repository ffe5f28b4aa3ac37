/** News from other instances. Hints only: they are lost while the connection is down, so nothing relies on them. */
/** Payload of a channel: its sender had something to say and could not. */
export const MISSED = '*'

export interface Notifications {
  readonly connected: boolean
  /** Returns the way to unsubscribe. `own` = sent by this very instance. */
  on(channel: string, handler: (payload: string, own: boolean) => void): () => void
  /** Called after every (re)connection: whatever was notified in between is lost. */
  onConnected(handler: () => void): () => void
}
