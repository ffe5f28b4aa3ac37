/**
 * The three forms of pop. A consumer asks with the same target again and again, so what a target means is remembered.
 *
 * Invariant: what the engine claimed for a client that is gone is given back.
 */
import { LIMITS, PopAnswerSchema, QUEUE_MODE_GROUP } from '@queen/protocol'
import Type from 'typebox'
import { Refusal } from '../../engine/refusal.ts'
import type { EmptyReason, PopAnswer, PopRequest, Subscription } from '../../engine/types.ts'
import type { HttpContext } from '../context.ts'
import type { Exchange } from '../exchange.ts'
import {
  invalidParameter,
  parseQuery,
  type Query,
  queryBoolean,
  queryInteger,
  queryName,
  queryText,
  queryTimestamp,
} from '../query.ts'
import type { Parameter, Route } from '../route.ts'
import { noRoom } from '../unread-answers.ts'
import { requireName } from '../wire/json-body.ts'
import { popAnswer } from '../wire/pop-answer.ts'

// Targets of a busy server: queues times groups times variants. When a client makes up new ones all the time, the
// memory is emptied and filled again; an entry is below 1 kB for honest targets.
const TARGETS_MAX = 2_000
const TARGET_CHARS_MAX = 2_000

const MODES: ReadonlyMap<string, 'all' | 'new'> = new Map([
  ['new', 'new'],
  ['new-only', 'new'],
  ['latest', 'new'],
  ['all', 'all'],
  ['from_beginning', 'all'],
  ['earliest', 'all'],
  ['timestamp', 'all'],
])

const QUERY: readonly Parameter[] = [
  { name: 'batch', schema: Type.Integer({ minimum: 1, maximum: LIMITS.batchMax, default: 1 }) },
  { name: 'partitions', schema: Type.Integer({ minimum: 1, maximum: LIMITS.partitionsMax, default: 1 }) },
  { name: 'wait', schema: Type.Boolean({ default: false }), description: 'Long poll' },
  {
    name: 'timeout',
    schema: Type.Integer({ minimum: 0, maximum: LIMITS.popTimeoutMsMax, default: LIMITS.popTimeoutMsDefault }),
    description: 'ms, with wait',
  },
  { name: 'consumerGroup', schema: Type.String({ default: QUEUE_MODE_GROUP }) },
  { name: 'autoAck', schema: Type.Boolean({ default: false }), description: 'Complete on delivery' },
  { name: 'subscriptionMode', schema: Type.String({ enum: [...MODES.keys()] }) },
  { name: 'subscriptionFrom', schema: Type.String(), description: '`now` or a timestamp; wins over the mode' },
]
const SCOPE: readonly Parameter[] = [
  { name: 'namespace', schema: Type.String() },
  { name: 'task', schema: Type.String() },
]

// Between two tries to deliver what cannot be decrypted here.
const GIVEN_BACK_MS = 1_000
// A pop that does not wait is answered within 3 s.
const PROMPT_MS = 2_000

export function popRoutes(context: HttpContext): Route[] {
  const forms = [
    { path: '/api/v1/pop/queue/:queue', operationId: 'popQueue', summary: 'Pop from a queue', query: QUERY },
    {
      path: '/api/v1/pop/queue/:queue/partition/:partition',
      operationId: 'popPartition',
      summary: 'Pop from one partition',
      query: QUERY.filter(({ name }) => name !== 'partitions'),
    },
    {
      path: '/api/v1/pop',
      operationId: 'popScope',
      summary: 'Pop from all queues of a namespace and/or task',
      query: [...SCOPE, ...QUERY],
    },
  ]
  const requests = new Map<string, PopRequest>()
  const handle = (exchange: Exchange): Promise<void> => {
    const target = exchange.request.url!
    let request = requests.get(target)
    if (request === undefined) {
      request = popRequest(exchange, context)
      if (requests.size >= TARGETS_MAX) requests.clear()
      if (target.length <= TARGET_CHARS_MAX) requests.set(target, request)
    }
    return pop(exchange, request, context)
  }
  return forms.map(({ path, operationId, summary, query }) => ({
    method: 'GET',
    path,
    level: 'W',
    body: 'none',
    consumes: true,
    document: {
      operationId,
      summary,
      tag: 'Messages',
      query,
      answers: { 200: PopAnswerSchema, 204: null },
      errors: ['INVALID_PARAMETER', 'INVALID_NAME', 'INVALID_TIMESTAMP'],
    },
    handle,
  }))
}

async function pop(
  exchange: Exchange,
  request: PopRequest,
  context: HttpContext,
  endsAtMs = performance.now() + (request.wait ? request.timeoutMs : PROMPT_MS),
): Promise<void> {
  const { engine, settings, unread } = context
  // These answers are the large ones.
  if (!unread.hasRoom()) throw noRoom()
  const abandoned = new AbortController()
  exchange.waiting = {
    abandon: () => abandoned.abort(),
    stop: () => {
      if (!request.wait) return
      // What autoAck completes at this moment is still to be answered.
      if (!request.autoAck) exchange.answerEmpty(emptyHeaders('no_message'))
      abandoned.abort()
    },
  }
  let answer: PopAnswer
  try {
    answer = await engine.popMessages(request, abandoned.signal, unread.hasRoom)
  } catch (error) {
    if (exchange.closed || exchange.answered) return
    throw error
  }
  if (answer.runs.length === 0) return exchange.answerEmpty(emptyHeaders(answer.emptyReason ?? 'no_message'))
  if (isGone(exchange)) return giveBack(answer, context)
  while (!unread.hasRoom()) if (!(await moreRoom(exchange, answer, context))) return
  let text: string
  try {
    text = popAnswer(answer, settings.cipher ?? null)
  } catch (error) {
    const rest = await readable(answer, error, context)
    if (rest.runs.length === 0) return popAgain(exchange, request, rest.emptyReason, endsAtMs, context)
    while (!unread.hasRoom()) if (!(await moreRoom(exchange, rest, context))) return
    text = popAnswer(rest, settings.cipher ?? null)
  }
  exchange.answerJson(200, text, 'latin1')
}

/**
 * Many may have claimed before the first of their answers was written. What finds no room any more is given back; what
 * autoAck completed cannot be, and waits for the answers before it. False = the client has gone meanwhile.
 */
async function moreRoom(exchange: Exchange, answer: PopAnswer, context: HttpContext): Promise<boolean> {
  if (answer.leaseId !== '') {
    await giveBack(answer, context)
    throw noRoom()
  }
  // A stopping server lets it wait on: an empty answer would lose the messages.
  exchange.waiting = null
  await context.unread.moreRoom()
  return !isGone(exchange)
}

/** What of the answer can be delivered after all. Anything but a payload that does not open is a defect. */
async function readable(answer: PopAnswer, error: unknown, context: HttpContext): Promise<PopAnswer> {
  try {
    const rest = await context.engine.withoutUndecryptable(answer)
    if (rest !== answer) return rest
  } catch (refusal) {
    await giveBack(answer, context)
    if (refusal instanceof Refusal && refusal.code === 'DATABASE_UNAVAILABLE')
      return { ...answer, runs: [], emptyReason: 'database_unavailable' }
    throw refusal
  }
  await giveBack(answer, context)
  throw error
}

/** Nothing of what was claimed could be delivered: there may be more, in the time that is left. */
async function popAgain(
  exchange: Exchange,
  request: PopRequest,
  reason: EmptyReason | null,
  endsAtMs: number,
  context: HttpContext,
): Promise<void> {
  const leftMs = endsAtMs - performance.now()
  const givenBack = reason !== 'no_message'
  // What was given back would be claimed again at once.
  if (givenBack && request.wait) await new Promise((resolve) => setTimeout(resolve, Math.min(leftMs, GIVEN_BACK_MS)))
  if (exchange.closed || exchange.answered) return
  if (leftMs <= GIVEN_BACK_MS || (givenBack && !request.wait))
    return exchange.answerEmpty(emptyHeaders(reason ?? 'no_message'))
  return pop(exchange, { ...request, timeoutMs: Math.min(request.timeoutMs, leftMs) }, context, endsAtMs)
}

function isGone(exchange: Exchange): boolean {
  return exchange.closed || exchange.answered || !exchange.connection.socket.writable
}

async function giveBack(answer: PopAnswer, { engine, lost, settings }: HttpContext): Promise<void> {
  if (answer.leaseId === '') {
    const messages = answer.runs.reduce((sum, { indices }) => sum + indices.length, 0)
    return lost.add({ consumerGroup: answer.consumerGroup }, messages)
  }
  try {
    await engine.releaseClaim(answer)
  } catch (error) {
    // The lease then runs out by itself.
    settings.log.warn({ err: error }, 'a claim could not be given back')
  }
}

function emptyHeaders(reason: EmptyReason): readonly string[] {
  return reason === 'database_unavailable'
    ? ['Queen-Empty-Reason', reason, 'Retry-After', '1']
    : ['Queen-Empty-Reason', reason]
}

function popRequest({ parameters, search }: Exchange, { limits, settings }: HttpContext): PopRequest {
  const query = parseQuery(search)
  const queue = parameters.length > 0 ? requireName(parameters[0]!, 'queue') : null
  const partition = parameters.length > 1 ? requireName(parameters[1]!, 'partition') : null
  const namespace = queue === null ? queryName(query, 'namespace') : null
  const task = queue === null ? queryName(query, 'task') : null
  if (queue === null && namespace === null && task === null) {
    throw invalidParameter('namespace', "or 'task' must be given")
  }
  const consumerGroup = queryName(query, 'consumerGroup') ?? QUEUE_MODE_GROUP
  const subscription = subscriptionOf(query, settings.subscriptionModeDefault ?? 'all')
  const timeoutMs = queryInteger(query, 'timeout', LIMITS.popTimeoutMsDefault, 0, LIMITS.popTimeoutMsMax)
  return {
    queue,
    partition,
    namespace,
    task,
    consumerGroup,
    batch: queryInteger(query, 'batch', limits.batchDefault, 1, LIMITS.batchMax),
    partitions: partition === null ? queryInteger(query, 'partitions', 1, 1, LIMITS.partitionsMax) : 1,
    // No time to wait is not no time to look.
    wait: queryBoolean(query, 'wait', false) && timeoutMs > 0,
    timeoutMs,
    autoAck: queryBoolean(query, 'autoAck', false),
    subscription: consumerGroup === QUEUE_MODE_GROUP ? { mode: 'all' } : subscription,
  }
}

function subscriptionOf(query: Query, modeDefault: 'all' | 'new'): Subscription {
  const modeText = queryText(query, 'subscriptionMode')
  const mode = modeText === null ? modeDefault : MODES.get(modeText)
  if (mode === undefined) throw invalidParameter('subscriptionMode', `must be one of ${[...MODES.keys()].join(', ')}`)
  const fromText = queryText(query, 'subscriptionFrom')
  if (fromText === null) return { mode }
  if (fromText === 'now') return { mode: 'new' }
  return { mode: 'timestamp', from: queryTimestamp(query, 'subscriptionFrom', 'start')! }
}
