/** One request of the admin API. */
import type { ClientCore } from '../client-core.ts'
import { type Query, query } from '../transport/path.ts'
import type { AdminOptions } from '../types/admin.ts'

export interface AdminRequest {
  readonly method?: 'GET' | 'POST' | 'DELETE'
  readonly path: string
  readonly query?: Query | undefined
  readonly body?: unknown
  readonly rounds?: number | undefined
  readonly asText?: boolean | undefined
}

export type AdminSend = <T>(operation: string, request: AdminRequest, options?: AdminOptions) => Promise<T>

export function createAdminSend(core: ClientCore): AdminSend {
  return async <T>(operation: string, request: AdminRequest, options: AdminOptions = {}): Promise<T> => {
    core.lifecycle.assertOpen()
    const { body } = await core.send({
      operation: `Admin.${operation}`,
      method: request.method ?? 'GET',
      path: request.path + query(request.query ?? {}),
      body: request.body === undefined ? undefined : core.settings.json.stringify(request.body),
      rounds: request.rounds,
      asText: request.asText,
      signal: options.signal,
      timeoutMillis: options.timeoutMillis,
    })
    return body as T
  }
}
