/** What the engine needs of the store to show and move consumer groups. Every call throws StoreError. */

export interface GroupPosition {
  readonly queue: string
  readonly partition: string
  readonly partitionId: string
  readonly group: string
  readonly leaseId: string | null
  readonly leaseExpiresAt: string | null
  readonly lastConsumedAt: string | null
  readonly totalConsumed: number
  readonly lag: number
  readonly oldestAt: string | null
  /** Seconds since `oldestAt`; null = nothing is unfinished. */
  readonly lagSeconds: number | null
  /** Failures of the oldest unfinished message. */
  readonly retryCount: number
}

export interface GroupStore {
  /** Positions of one group, most behind first. */
  readGroup(group: string, limit: number): Promise<GroupPosition[]>
  /** Those of the positions whose oldest unfinished message is older than `seconds`, oldest first. */
  readLagging(positions: readonly { partitionId: string; group: string }[], seconds: number): Promise<GroupPosition[]>
  /** Whether the group has a position or a recorded subscription anywhere. */
  groupExists(group: string): Promise<boolean>
  /** How many positions; subscriptions too when asked. `queueId` null = on all queues. */
  deleteGroup(group: string, queue: string | null, metadata: boolean): Promise<number>
  moveSubscription(group: string, startsAt: string): Promise<number>
  /** null = no such queue. */
  readQueueId(queue: string): Promise<string | null>
  seek(query: {
    readonly queueId: string
    readonly group: string
    readonly partition: string | null
    readonly after: string | null
    readonly limit: number
    /** null = to the end. */
    readonly time: string | null
  }): Promise<{ partitionId: string; name: string; movedTo: string | null }[]>
}
