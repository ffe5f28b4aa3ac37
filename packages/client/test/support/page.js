/** What a program in a web page does with the built client; served to a real browser, which calls it by name. */
import { isQueenError, Queen, QueenUnavailableError } from '/client/esm/index.js'

const numbers = (count) => Array.from({ length: count }, (_, n) => n)

globalThis.program = {
  async pushPopAck(url) {
    const queen = new Queen({ url, bearerToken: 'a token, so that the browser asks first' })
    const results = await queen.queue('page').push([{ name: 'Ünï 漢字 😀' }, { data: 2, transactionId: 'two' }])
    const messages = await queen.queue('page').batch(2).pop()
    const renewed = await queen.renew(messages)
    const acked = await queen.ack(messages)
    const late = await queen.ack(messages[0])
    const traced = await messages[0].trace({ data: { step: 1 } })
    const report = await queen.close()
    return {
      counts: results.counts,
      data: messages.map(({ data }) => data),
      renewed: renewed.map(({ success }) => success),
      acked: acked.success,
      late: late.code,
      traced: traced.success,
      report,
      node: typeof globalThis.process,
    }
  },

  async consume(url) {
    const queen = new Queen(url)
    const queue = queen.queue('work').partitionBy((n) => `p${n % 2}`)
    for (const n of numbers(10)) await queue.buffer({ messageCount: 4, timeMillis: 20 }).push(n)
    await queen.flushAllBuffers()
    const seen = []
    const stop = new AbortController()
    // The workers wait in a long poll when the abort comes.
    const running = queen
      .queue('work')
      .concurrency(2)
      .batch(3)
      .renewLease(true)
      .consume((messages) => seen.push(...messages.map(({ data }) => data)), { signal: stop.signal })
    while (seen.length < 10) await new Promise((resolve) => setTimeout(resolve, 10))
    const abortedAt = Date.now()
    stop.abort()
    const summary = await running
    return { seen, summary, millis: Date.now() - abortedAt }
  },

  async abortPop(url) {
    const queen = new Queen(url)
    const stop = new AbortController()
    const pop = queen.queue('nothing').pop({ signal: stop.signal })
    setTimeout(() => stop.abort('enough'), 20)
    return pop.catch((reason) => reason)
  },

  async iterate(url) {
    const queen = new Queen(url)
    await queen.queue('loop').push([1, 2, 3])
    const seen = []
    for await (const { data } of queen.queue('loop').limit(3).messages()) seen.push(data)
    return seen
  },

  async refusedInMaintenance(url) {
    const queen = new Queen({ url, retryAttempts: 1 })
    try {
      await queen.transaction().queue('next').push(1).commit()
    } catch (error) {
      const { code, status, retryable, retryAfterMillis } = error
      return {
        known: isQueenError(error) && error instanceof QueenUnavailableError,
        ...{ code, status, retryable, retryAfterMillis },
      }
    }
  },

  async foreign(url) {
    const queen = new Queen({ url, retryAttempts: 1 })
    try {
      return await queen.queue('q').push(1)
    } catch ({ name, code }) {
      return { name, code }
    }
  },
}
globalThis.programReady = true
