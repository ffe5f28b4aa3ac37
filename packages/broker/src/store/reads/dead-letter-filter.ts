/**
 * The conditions of a dead letter filter. A statement holds only those that were asked for, so that each combination
 * gets a plan of its own.
 */
import type { DeadLetterFilter } from '../../ports/dead-letter-store.ts'

export interface FilterSql {
  /** Which conditions there are: part of the statement's name. */
  readonly used: string
  /** `FROM … WHERE …` with the dead letters as d. */
  readonly from: string
  readonly values: unknown[]
}

export function deadLetterFilter(filter: DeadLetterFilter): FilterSql {
  const values: unknown[] = []
  const conditions: string[] = []
  const used: string[] = []
  const condition = (name: string, value: unknown, text: (parameter: string) => string): void => {
    if (value === null) return
    values.push(value)
    conditions.push(text(`$${values.length}`))
    used.push(name)
  }
  condition('queue', filter.queue, (p) => `d.queue_id = (SELECT q.id FROM queen.queues q WHERE q.name = ${p}::text)`)
  condition('group', filter.consumerGroup, (p) => `d.group_name = ${p}::text`)
  condition('partition', filter.partition, (p) => `p.name = ${p}::text`)
  condition('from', filter.from, (p) => `d.failed_at >= ${p}::timestamptz`)
  condition('to', filter.to, (p) => `d.failed_at <= ${p}::timestamptz`)
  const join = filter.partition === null ? '' : ' JOIN queen.partitions p ON p.id = d.partition_id'
  const where = conditions.length === 0 ? '' : ` WHERE ${conditions.join(' AND ')}`
  return { used: used.join(' '), from: `FROM queen.dead_letters d${join}${where}`, values }
}
