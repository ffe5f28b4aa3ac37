/** Everything that runs by itself: started once the parts it needs are there, stopped before they go. Both are idempotent. */
export interface Service {
  readonly name: string
  start(): void
  /** Resolves when nothing of it runs any more. */
  stop(): Promise<void>
}
