/** `help`: topics that no single command explains. */
import { EXIT, EXIT_MEANING } from '../command/exit-codes.ts'
import { CliError } from '../command/failure.ts'
import { nearest } from '../command/nearest.ts'
import { arg, type CommandSpec } from '../command/spec.ts'

export const TOPICS: Readonly<Record<string, readonly string[]>> = {
  times: [
    'Times',
    '  2026-11-23T12:00:00Z, 2026-11-23T13:00:00+01:00   RFC 3339',
    '  2026-11-23, "2026-11-23 12:00"                    UTC',
    '  1795435200                                        Unix seconds',
    '  now, beginning (earliest, start), end (latest)',
    '  15m, "15m ago"                                    before now',
    '',
    'Durations',
    '  500ms 30s 5m 2h 1d 1w, also joined: 1h30m',
  ],
  output: [
    '-o table          for eyes (default)',
    '-o wide           more columns, absolute times, ids; without it a narrow terminal leaves columns out',
    '-o json           the answer of the broker, or the rows of a list; --json is the same',
    '-o ndjson         one row a line',
    '-o yaml           the same as json, as YAML',
    '-o jsonpath=.a[0].b   one value a line; [*] for all; exit code 4 when nothing is there',
    '',
    'pop and tail always print NDJSON. What is not known is -, never 0. Results go to stdout, everything else to stderr.',
    'QUEENCTL_OUTPUT names the default. NO_COLOR, CLICOLOR=0 and CLICOLOR_FORCE are honoured.',
  ],
  'exit-codes': Object.entries(EXIT_MEANING).map(([exit, meaning]) => `${exit.padStart(3)}  ${meaning}`),
  config: [
    'Which broker, from low to high: current-context of the file, QUEEN_CONTEXT, --context, QUEEN_URL (QUEEN_SERVER) and',
    'QUEEN_TOKEN, --url and --token. Nothing set: http://localhost:6632.',
    '',
    '~/.queen/config.yaml (mode 0600; QUEEN_CONFIG or --config name another):',
    '  current-context: prod',
    '  contexts:',
    '    - { name: prod, server: https://queen.example.com, token-ref: "file:///etc/queen/token", insecure: false }',
    '',
    'server may be a list. token-ref: env (reads QUEEN_TOKEN), file:///abs/path, literal:VALUE.',
  ],
  maintenance: [
    "In a maintenance window producers go on as if nothing were: pushes are kept in the brokers' disk buffers. Meanwhile",
    'the database may be migrated, upgraded or repaired. Afterwards the buffers drain in order, every message once.',
    '',
    '  queenctl maintenance run --reason "add column" -- psql "$DATABASE_URL" -v ON_ERROR_STOP=1 -f migration.sql',
    '',
    'psql -f ends with 0 after a failed statement: ON_ERROR_STOP makes it tell. By hand it is three steps:',
    '  queenctl maintenance on       returns when it is safe to migrate',
    '  …                             migrate',
    '  queenctl maintenance off --wait',
    'If queenctl is killed the window stays open: nothing is lost, and queenctl maintenance status tells the reason.',
  ],
}

export const HELP: CommandSpec = {
  name: 'help',
  summary: 'explain a topic',
  about: `Topics: ${Object.keys(TOPICS).join(', ')}. For a command: queenctl <command> --help.`,
  args: [arg('[topic]', 'what about')],
  examples: ['help times', 'help exit-codes'],
  async run(session, call) {
    const topic = call.optionalOperand(0)
    if (topic === undefined) {
      await session.out.line(
        [
          'Topics:',
          ...Object.keys(TOPICS).map((name) => `  queenctl help ${name}`),
          '',
          'Commands: queenctl --help',
        ].join('\n'),
      )
      return EXIT.done
    }
    const lines = TOPICS[topic]
    if (lines === undefined) {
      const meant = nearest(topic, Object.keys(TOPICS))
      const hint = meant === undefined ? `For a command: queenctl ${topic} --help` : `Did you mean ${meant}?`
      throw new CliError(`there is no topic '${topic}'`, { hint })
    }
    await session.out.line(lines.join('\n'))
    return EXIT.done
  },
}
