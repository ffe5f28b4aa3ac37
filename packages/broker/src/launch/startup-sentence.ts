/**
 * Which failures of a start are the operator's to solve, and the one sentence that says how. Everything else is a
 * defect and keeps its stack.
 */
import { statSync } from 'node:fs'
import { EmbeddedPostgresError } from '@queen/embedded-postgres'
import { ConfigError } from '../config/config.ts'

/** Errors of the operating system that name a condition of this machine. */
const CONDITIONS = new Set(['EACCES', 'EPERM', 'ENOSPC', 'EROFS', 'ENOTDIR', 'EEXIST'])

/** Errors of rooms that this one does not know, by name: all they can say at a start is the operator's to solve. */
const OPERATORS = new Set(['SchemaError', 'FileBufferError'])

/** What the system says of a HOST that it cannot listen on; EINVAL is a link-local address without its interface. */
const NOT_A_HOST = new Set(['EADDRNOTAVAIL', 'ENOTFOUND', 'EAI_AGAIN', 'EAFNOSUPPORT', 'EINVAL'])
const LISTENING = new Set(['listen', 'getaddrinfo'])

export function startupSentence(error: unknown): string | undefined {
  if (error instanceof ConfigError || error instanceof EmbeddedPostgresError) return error.message
  if (!(error instanceof Error)) return undefined
  if (OPERATORS.has(error.name)) return error.message
  const { code, syscall, port, path, exitCode } = error as NodeJS.ErrnoException & { port?: number; exitCode?: unknown }
  if (code === 'EADDRINUSE') return `Port ${port ?? ''} is already in use; stop what runs there or set PORT.`
  if (code !== undefined && NOT_A_HOST.has(code) && LISTENING.has(syscall ?? ''))
    return `HOST is not an address of this machine (${code}).`
  if (code === 'EACCES' && port !== undefined)
    return `Port ${port} may not be opened by this user; set PORT to 1024 or more.`
  if ((code === 'EACCES' || code === 'EPERM') && path !== undefined && isOthers(path))
    return `${path} belongs to another user, as after a start with sudo (${code}); give it back with chown -R, or start Queen as that user.`
  if (code !== undefined && CONDITIONS.has(code)) return `${path ?? 'A file'} cannot be used (${code}).`
  // Any room may throw an error that says of itself that it is the operator's to solve (a schema that cannot be made).
  return exitCode === 2 ? error.message : undefined
}

function isOthers(path: string): boolean {
  const uid = process.getuid?.()
  try {
    return uid !== undefined && uid !== 0 && statSync(path).uid !== uid
  } catch {
    return false
  }
}
