/**
 * Which broker is meant. From low to high: the file's current-context, QUEEN_CONTEXT, --context, QUEEN_URL and
 * QUEEN_TOKEN, --url and --token.
 */
import { CliError } from '../command/failure.ts'
import { type ConfigFile, type ContextEntry, readConfigFile } from './config-file.ts'
import { readToken } from './token.ts'

export const URL_DEFAULT = 'http://localhost:6632'

export interface Target {
  readonly urls: readonly string[]
  readonly token: string | null
  readonly insecure: boolean
  /** Name of the context, where one was used. */
  readonly context: string | null
}

export interface TargetWish {
  readonly urls: readonly string[]
  readonly token: string | undefined
  readonly context: string | undefined
  readonly insecure: boolean
  readonly configPath: string
  readonly env: Readonly<Record<string, string | undefined>>
}

export function resolveTarget(wish: TargetWish): Target {
  const { env } = wish
  const named = wish.context || env.QUEEN_CONTEXT
  const envUrls = splitUrls(env.QUEEN_URL || env.QUEEN_SERVER || '')
  const asked = wish.urls.flatMap(splitUrls)
  // A broken file must not stand in the way of somebody who says where the broker is.
  const needsFile = named !== undefined || (asked.length === 0 && envUrls.length === 0)
  const entry = needsFile ? contextOf(readConfigFile(wish.configPath), named, wish.configPath) : null
  const own = entry === null ? [] : [entry.server].flat().flatMap((url) => splitUrls(String(url)))
  const urls = [asked, envUrls, own].find((list) => list.length > 0) ?? [URL_DEFAULT]
  // A context's token is for the context's broker: it must not travel to another one.
  const ownToken = () => (urls === own ? readToken(entry?.['token-ref'], env) : null)
  return {
    urls: urls.map(checkedUrl),
    token: wish.token || env.QUEEN_TOKEN || ownToken(),
    insecure: wish.insecure || (urls === own && entry?.insecure === true),
    context: urls === own ? (entry?.name ?? null) : null,
  }
}

export function contextOf(file: ConfigFile, named: string | undefined, path: string): ContextEntry | null {
  const name = named ?? file['current-context']
  if (name === undefined || name === '') return null
  const entry = file.contexts.find((each) => each.name === name)
  if (entry !== undefined) return entry
  const known = file.contexts.map((each) => each.name).join(', ')
  throw new CliError(`there is no context '${name}' in ${path}`, {
    code: 'CONTEXT_NOT_FOUND',
    hint: known === '' ? 'Make one with: queenctl config set-context NAME --url URL' : `There are: ${known}`,
  })
}

export function splitUrls(text: string): string[] {
  return text
    .split(',')
    .map((url) => url.trim())
    .filter((url) => url !== '')
}

export function checkedUrl(url: string): string {
  const parsed = URL.canParse(url) ? new URL(url) : null
  if (parsed === null || !/^https?:$/.test(parsed.protocol)) {
    throw new CliError(`'${url}' is no URL of a broker`, { hint: 'Write it like http://localhost:6632' })
  }
  if (parsed.username !== '' || parsed.password !== '') {
    throw new CliError('credentials do not belong into the URL', {
      hint: 'Use --token, QUEEN_TOKEN or queenctl login.',
    })
  }
  return url
}
