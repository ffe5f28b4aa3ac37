/** The flags every command has, wherever they stand in the line. */
import { type Format, isMachineReadable, parseFormat } from '../output/format.ts'
import { duration, type Flag, list, text, toggle } from './flag.ts'

export const GLOBAL_FLAGS: readonly Flag[] = [
  list('--url <url>', 'broker; repeat it or separate by commas for several'),
  list('--server <url>', 'the same as --url'),
  text('--token <token>', 'bearer token'),
  text('--context <name>', 'context of the configuration file', { completes: 'context' }),
  text('--config <file>', 'configuration file instead of ~/.queen/config.yaml', { completes: 'file' }),
  toggle('--json', 'the same as -o json'),
  {
    ...text('-o, --output <format>', 'how results are shown, a path as jsonpath=.a[0].b (default: table)'),
    // Parsed elsewhere: what stands behind jsonpath= is free.
    choices: ['table', 'wide', 'json', 'ndjson', 'yaml', 'jsonpath='],
  },
  toggle('--no-headers', 'tables without their first line'),
  toggle('--no-color', 'no colours'),
  toggle('--color', 'colours although nobody may be looking'),
  toggle('-q, --quiet', 'no progress and no remarks'),
  toggle('-v, --verbose', 'show requests on stderr'),
  duration('--timeout <duration>', 'of one request (default: 30s)'),
  toggle('--insecure', 'do not verify certificates'),
  toggle('-y, --yes', 'answer confirmations with yes'),
]

export interface Globals {
  readonly urls: readonly string[]
  readonly token: string | undefined
  readonly context: string | undefined
  readonly config: string | undefined
  readonly format: Format
  readonly headers: boolean
  /** null = not said. */
  readonly color: boolean | null
  readonly quiet: boolean
  readonly verbose: boolean
  /** null = not said. */
  readonly timeoutMs: number | null
  readonly insecure: boolean
  readonly yes: boolean
}

/** `said`: what stands in the command line, by commander's names. */
export function readGlobals(
  said: Readonly<Record<string, unknown>>,
  env: Readonly<Record<string, string | undefined>>,
): Globals {
  const wanted = said.json === true ? 'json' : ((said.output as string | undefined) ?? (env.QUEENCTL_OUTPUT || 'table'))
  return {
    urls: [said.url, said.server].flatMap((each) => (each as string[] | undefined) ?? []),
    token: said.token as string | undefined,
    context: said.context as string | undefined,
    config: said.config as string | undefined,
    format: parseFormat(wanted),
    headers: said.headers !== false,
    color: (said.color as boolean | undefined) ?? null,
    quiet: said.quiet === true,
    verbose: said.verbose === true,
    timeoutMs: (said.timeout as number | undefined) ?? null,
    insecure: said.insecure === true,
    yes: said.yes === true,
  }
}

/** For errors that come before the line is understood. */
export function wantsJsonErrors(argv: readonly string[], env: Readonly<Record<string, string | undefined>>): boolean {
  const own = argv.includes('--') ? argv.slice(0, argv.indexOf('--')) : argv
  const at = own.findIndex((word) => word === '-o' || word === '--output')
  const output = at >= 0 ? own[at + 1] : own.find((word) => word.startsWith('--output='))?.slice('--output='.length)
  if (own.includes('--json')) return true
  try {
    return isMachineReadable(parseFormat(output ?? env.QUEENCTL_OUTPUT ?? 'table'))
  } catch {
    return false
  }
}
