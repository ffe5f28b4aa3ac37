/** `login` and `logout`: a token in a file of mode 0600, and a context that points at it. */
import { rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type { Call } from '../command/call.ts'
import { EXIT } from '../command/exit-codes.ts'
import { CliError } from '../command/failure.ts'
import { choice, text } from '../command/flag.ts'
import type { CommandSpec } from '../command/spec.ts'
import { readWhole } from '../input/lines.ts'
import type { Session } from '../session.ts'
import { type ContextEntry, readConfigFile, writeConfigFile, writePrivately } from '../target/config-file.ts'
import { insecureFetch } from '../target/insecure-fetch.ts'
import { ask, canAsk } from '../terminal/ask.ts'

const CONTEXT_DEFAULT = 'default'

export const LOGIN: CommandSpec = {
  name: 'login',
  summary: 'keep a token for a broker',
  about: 'Takes a token (asked for, or from stdin), or a user and a password for a login proxy in front of the broker.',
  flags: [
    choice('--method <method>', 'how', ['token', 'password'], 'token'),
    text('-u, --user <name>', 'user, for password'),
    text('--password <password>', 'password; better asked for or from stdin'),
    text('--token <token>', 'the token; better asked for or from stdin'),
  ],
  examples: [
    'login --url https://queen.example.com --context prod < token.txt',
    'login --method password -u ops --url https://queen.example.com',
  ],
  async run(session, call) {
    const target = session.target()
    const token =
      call.text('method') === 'password'
        ? await byPassword(session, call, target.urls[0]!)
        : await givenToken(session, call)
    if (token === '' || /\s/.test(token)) throw new CliError('that is no token: it is empty or contains spaces')
    const name = session.globals.context ?? target.context ?? CONTEXT_DEFAULT
    const file = readConfigFile(session.configPath)
    const path = tokenPath(session, name)
    writePrivately(path, `${token}\n`)
    const before = file.contexts.find((each) => each.name === name)
    const server = target.urls.length === 1 ? target.urls[0]! : [...target.urls]
    const entry: ContextEntry = { ...before, name, server, 'token-ref': pathToFileURL(path).href }
    const contexts =
      before === undefined ? [...file.contexts, entry] : file.contexts.map((each) => (each === before ? entry : each))
    writeConfigFile(session.configPath, { 'current-context': name, ...file, contexts })
    await session.out.text({ context: name, server }, [`logged in: context '${name}'`])
    return EXIT.done
  },
}

/** A name may hold anything; a file name may not. */
function tokenPath(session: Session, name: string): string {
  return join(dirname(session.configPath), 'tokens', encodeURIComponent(name))
}

async function givenToken(session: Session, call: Call): Promise<string> {
  const given = call.text('token')
  if (given !== undefined) return given.trim()
  if (canAsk(session.terminal)) return (await ask(session, 'Token: ', true)).trim()
  return (await readWhole(session, '-')).trim()
}

async function byPassword(session: Session, call: Call, url: string): Promise<string> {
  const username = call.text('user') ?? (canAsk(session.terminal) ? await ask(session, 'User: ') : undefined)
  if (username === undefined) throw new CliError('which user? Name it with --user')
  const asked = async () => (canAsk(session.terminal) ? ask(session, 'Password: ', true) : readWhole(session, '-'))
  const password = (call.text('password') ?? (await asked())).replace(/\r?\n$/, '')
  // The proxy has an API of its own, which the client does not speak.
  const send = session.target().insecure ? insecureFetch : fetch
  const answer = await send(new URL('/api/login', url).href, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ username, password }),
    signal: session.signal,
  }).catch((cause: unknown) => {
    if (session.signal.aborted) throw cause
    throw new CliError(`no login proxy answers at ${url}`, { exit: EXIT.broker, code: 'CONNECTION_FAILED', cause })
  })
  const body = (await answer.json().catch(() => null)) as { token?: unknown; error?: unknown } | null
  if (answer.ok && typeof body?.token === 'string') return body.token
  const why = typeof body?.error === 'string' ? body.error : `the login proxy answered ${answer.status}`
  throw new CliError(why, {
    exit: answer.status === 401 || answer.status === 403 ? EXIT.auth : EXIT.broker,
    code: 'LOGIN_FAILED',
  })
}

export const LOGOUT: CommandSpec = {
  name: 'logout',
  summary: 'forget the token of a context',
  examples: ['logout', 'logout --context prod'],
  exits: [4],
  async run(session) {
    const file = readConfigFile(session.configPath)
    const name = session.globals.context ?? session.env.QUEEN_CONTEXT ?? file['current-context']
    const entry = file.contexts.find((each) => each.name === name)
    const ref = entry?.['token-ref']
    if (entry === undefined || ref === undefined) {
      session.say('There is no token to forget.')
      return EXIT.nothing
    }
    // A file that login did not make may serve others too.
    if (ref === pathToFileURL(tokenPath(session, entry.name)).href) rmSync(fileURLToPath(ref), { force: true })
    const { 'token-ref': _forgotten, ...rest } = entry
    writeConfigFile(session.configPath, {
      ...file,
      contexts: file.contexts.map((each) => (each === entry ? (rest as ContextEntry) : each)),
    })
    await session.out.text({ context: entry.name }, [`logged out: context '${entry.name}'`])
    return EXIT.done
  },
}
