/**
 * `~/.queen/config.yaml`: named brokers and which of them is meant. Mode 0600, replaced as a whole, unknown keys kept.
 */
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { parse, stringify } from 'yaml'
import { CliError } from '../command/failure.ts'

export interface ContextEntry {
  name: string
  server: string | string[]
  'token-ref'?: string
  insecure?: boolean
  [key: string]: unknown
}

export interface ConfigFile {
  'current-context'?: string
  contexts: ContextEntry[]
  [key: string]: unknown
}

const FILE_BYTES_MAX = 1024 * 1024

export function configPath(flag: string | undefined, env: Readonly<Record<string, string | undefined>>): string {
  return flag || env.QUEEN_CONFIG || join(homedir(), '.queen', 'config.yaml')
}

export function readConfigFile(path: string): ConfigFile {
  if (!existsSync(path)) return { contexts: [] }
  let content: unknown
  try {
    const text = readFileSync(path, 'utf8')
    if (text.length > FILE_BYTES_MAX) throw new Error('it is larger than 1 MiB')
    content = parse(text) ?? {}
  } catch (error) {
    throw new CliError(`${path} cannot be read: ${firstLine(error)}`, { code: 'CONFIG_INVALID' })
  }
  const file = content as Partial<ConfigFile>
  const contexts: unknown = typeof content === 'object' && !Array.isArray(content) ? (file.contexts ?? []) : null
  if (!Array.isArray(contexts) || !contexts.every(isContext)) {
    throw new CliError(`${path} is no configuration of queenctl`, {
      code: 'CONFIG_INVALID',
      hint: 'It needs a list "contexts" whose entries have a name and a server.',
    })
  }
  return { ...file, contexts }
}

function isContext(value: unknown): value is ContextEntry {
  const entry = value as Partial<ContextEntry> | null
  const isServer = typeof entry?.server === 'string' || Array.isArray(entry?.server)
  return typeof entry === 'object' && typeof entry?.name === 'string' && entry.name !== '' && isServer
}

export function writeConfigFile(path: string, file: ConfigFile): void {
  writePrivately(path, stringify(file))
}

/** Beside the target and renamed over it: a reader sees the old text or the new one. */
export function writePrivately(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  const draft = `${path}.${process.pid}.draft`
  try {
    writeFileSync(draft, text, { mode: 0o600 })
    chmodSync(draft, 0o600)
    renameSync(draft, path)
  } catch (error) {
    rmSync(draft, { force: true })
    throw new CliError(`${path} cannot be written: ${firstLine(error)}`, { code: 'CONFIG_UNWRITABLE' })
  }
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n')[0]!
}
