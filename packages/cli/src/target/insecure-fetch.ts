/**
 * `fetch` without verification of certificates, for --insecure alone: Node's own cannot be told so for one client, and
 * the environment variable that turns it off would reach the commands that queenctl starts.
 */
import { request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'

export const insecureFetch: typeof fetch = (input, init = {}) =>
  new Promise((resolve, reject) => {
    const url = new URL(input instanceof Request ? input.url : input)
    const send = url.protocol === 'https:' ? httpsRequest : httpRequest
    const options = {
      method: init.method ?? 'GET',
      headers: Object.fromEntries(new Headers(init.headers).entries()),
      rejectUnauthorized: false,
      ...(init.signal ? { signal: init.signal } : {}),
    }
    const request = send(url, options, (answer) => {
      const chunks: Buffer[] = []
      answer.on('data', (chunk: Buffer) => chunks.push(chunk))
      answer.on('error', failed)
      answer.on('end', () => {
        const headers = new Headers()
        for (const [name, value] of Object.entries(answer.headersDistinct))
          for (const each of value ?? []) headers.append(name, each)
        const status = answer.statusCode ?? 502
        const hasBody = status !== 204 && status !== 304
        resolve(
          new Response(hasBody ? Buffer.concat(chunks) : null, {
            status,
            statusText: answer.statusMessage ?? '',
            headers,
          }),
        )
      })
    })
    // As fetch reports it, so that the client tells a refused connection from a lost answer.
    const failed = (cause: Error) =>
      reject(init.signal?.aborted ? init.signal.reason : new TypeError('fetch failed', { cause }))
    request.on('error', failed)
    request.end(typeof init.body === 'string' ? init.body : undefined)
  })
