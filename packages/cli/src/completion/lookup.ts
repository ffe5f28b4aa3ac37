/**
 * Names that only a broker or the configuration file knows. Half a second at most, remembered for ten, and silent when
 * it fails: a completion that hangs or complains is worse than none.
 */
import { createHash } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import type { Queen } from '@queen/client'
import { configPath, readConfigFile, writePrivately } from '../target/config-file.ts'
import { connect } from '../target/connect.ts'
import { resolveTarget } from '../target/target.ts'
import type { Plan } from './plan.ts'

const LOOKUP_MS = 500
const FRESH_MS = 10_000
const NAMES_MAX = 1_000

type Env = Readonly<Record<string, string | undefined>>

export async function lookUp(plan: Plan, prefix: string, env: Env): Promise<string[]> {
  const { completes, flags } = plan
  if (completes === null || completes === 'file') return []
  const path = configPath(flags.config, env)
  if (completes === 'context') return readConfigFile(path).contexts.map((each) => each.name)
  const wish = {
    urls: [flags.url, flags.server].filter((url) => url !== undefined),
    token: flags.token,
    context: flags.context,
    insecure: false,
  }
  const target = resolveTarget({ ...wish, configPath: path, env })
  const queue = plan.operands[0] ?? flags.queue
  const key = createHash('sha256')
    .update(JSON.stringify([target, completes, queue, prefix]))
    .digest('hex')
    .slice(0, 32)
  const file = join(homedir(), '.queen', 'cache', 'names', `${key}.json`)
  const remembered = remember(file)
  if (remembered !== null) return remembered
  const queen = connect(target, { timeoutMs: LOOKUP_MS, retryAttempts: 1, trace: null })
  const names = await ask(queen, completes, queue, prefix, AbortSignal.timeout(LOOKUP_MS))
  writePrivately(file, JSON.stringify(names))
  return names
}

function remember(file: string): string[] | null {
  const stat = statSync(file, { throwIfNoEntry: false })
  if (stat === undefined || Date.now() - stat.mtimeMs > FRESH_MS) return null
  return JSON.parse(readFileSync(file, 'utf8')) as string[]
}

async function ask(
  queen: Queen,
  completes: 'queue' | 'group' | 'partition',
  queue: string | undefined,
  search: string,
  signal: AbortSignal,
): Promise<string[]> {
  const page = { limit: NAMES_MAX, ...(search === '' ? {} : { search }) }
  if (completes === 'queue') {
    return (await queen.admin.listQueues(page, { signal })).queues.map((each) => each.name)
  }
  if (completes === 'partition') {
    return (await queen.admin.getPartitions({ ...page, queue }, { signal })).partitions.map((each) => each.name)
  }
  const groups = await queen.admin.listConsumerGroups({ signal })
  return [...new Set(groups.map((each) => each.name))]
}
