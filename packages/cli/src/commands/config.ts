/** `config`: the contexts of the configuration file. */
import { EXIT } from '../command/exit-codes.ts'
import { CliError } from '../command/failure.ts'
import { list, text, toggle } from '../command/flag.ts'
import { arg, type CommandSpec, type GroupSpec } from '../command/spec.ts'
import { type ContextEntry, readConfigFile, writeConfigFile } from '../target/config-file.ts'
import { checkedUrl, contextOf, splitUrls } from '../target/target.ts'

const NAME = arg('<name>', 'name of the context', 'context')

/** A token in the file is for queenctl's eyes alone. */
function masked(entry: ContextEntry): ContextEntry {
  return entry['token-ref']?.startsWith('literal:') ? { ...entry, 'token-ref': 'literal:***' } : entry
}

const VIEW: CommandSpec = {
  name: 'view',
  summary: 'show the file, tokens masked',
  examples: ['config view', 'config view --json'],
  async run(session) {
    const file = readConfigFile(session.configPath)
    const shown = { ...file, contexts: file.contexts.map(masked) }
    const { stringify } = await import('yaml')
    await session.out.text(shown, [`# ${session.configPath}`, stringify(shown).trimEnd()])
    return EXIT.done
  },
}

const CURRENT: CommandSpec = {
  name: 'current-context',
  aliases: ['current'],
  summary: 'the context that is used when none is named',
  examples: ['config current-context', 'config current --json'],
  exits: [4],
  async run(session) {
    const entry = contextOf(readConfigFile(session.configPath), undefined, session.configPath)
    if (entry === null) {
      session.say('There is no current context.')
      return EXIT.nothing
    }
    await session.out.text(masked(entry), [entry.name])
    return EXIT.done
  },
}

const LIST: CommandSpec = {
  name: 'get-contexts',
  aliases: ['ls'],
  summary: 'list contexts',
  examples: ['config get-contexts', 'config get-contexts -o ndjson'],
  async run(session) {
    const file = readConfigFile(session.configPath)
    await session.out.list({
      rows: file.contexts.map(masked),
      columns: [
        { title: 'current', value: (row) => (row.name === file['current-context'] ? '*' : ' ') },
        { title: 'name', value: (row) => row.name },
        { title: 'server', value: (row) => [row.server].flat().join(',') },
        { title: 'token', value: (row) => row['token-ref'] },
        { title: 'insecure', value: (row) => row.insecure === true },
      ],
    })
    return EXIT.done
  },
}

const SET: CommandSpec = {
  name: 'set-context',
  summary: 'make a context, or change what is given of it',
  args: [NAME],
  flags: [
    list('--url <url>', 'broker; repeat it or separate by commas for several'),
    list('--server <url>', 'the same as --url'),
    text('--token-ref <ref>', 'env, file:///abs/path or literal:VALUE'),
    toggle('--insecure', 'do not verify certificates'),
  ],
  examples: [
    'config set-context prod --url https://queen.example.com --token-ref file:///etc/queen/token',
    'config set-context local --url http://localhost:6632',
  ],
  async run(session, call) {
    const name = call.operand(0)
    const urls = [...call.list('url'), ...call.list('server')].flatMap(splitUrls).map(checkedUrl)
    const ref = call.text('tokenRef')
    if (ref !== undefined && !/^(env$|file:\/\/\/|literal:)/.test(ref)) {
      throw new CliError(`--token-ref: '${ref}' is none of env, file:///abs/path and literal:VALUE`)
    }
    const file = readConfigFile(session.configPath)
    const before = file.contexts.find((each) => each.name === name)
    if (before === undefined && urls.length === 0) throw new CliError(`the new context '${name}' needs --url`)
    const entry: ContextEntry = {
      ...(before ?? { name, server: '' }),
      ...(urls.length === 0 ? {} : { server: urls.length === 1 ? urls[0]! : urls }),
      ...(ref === undefined ? {} : { 'token-ref': ref }),
      ...(call.on('insecure') ? { insecure: true } : {}),
    }
    const contexts =
      before === undefined ? [...file.contexts, entry] : file.contexts.map((each) => (each === before ? entry : each))
    writeConfigFile(session.configPath, { 'current-context': name, ...file, contexts })
    await session.out.text(masked(entry), [`context '${name}' ${before === undefined ? 'made' : 'changed'}`])
    return EXIT.done
  },
}

const USE: CommandSpec = {
  name: 'use-context',
  summary: 'use this context from now on',
  args: [NAME],
  examples: ['config use-context prod', 'config use-context local'],
  async run(session, call) {
    const file = readConfigFile(session.configPath)
    const entry = contextOf(file, call.operand(0), session.configPath)!
    writeConfigFile(session.configPath, { ...file, 'current-context': entry.name })
    await session.out.text(masked(entry), [`using context '${entry.name}'`])
    return EXIT.done
  },
}

const DELETE: CommandSpec = {
  name: 'delete-context',
  aliases: ['rm'],
  summary: 'remove a context',
  args: [NAME],
  examples: ['config delete-context old', 'config rm old'],
  async run(session, call) {
    const file = readConfigFile(session.configPath)
    const entry = contextOf(file, call.operand(0), session.configPath)!
    const { 'current-context': current, ...rest } = file
    const contexts = file.contexts.filter((each) => each !== entry)
    const kept = current === undefined || current === entry.name ? {} : { 'current-context': current }
    writeConfigFile(session.configPath, { ...kept, ...rest, contexts })
    await session.out.text(masked(entry), [`context '${entry.name}' removed`])
    return EXIT.done
  },
}

export const CONFIG: GroupSpec = {
  name: 'config',
  summary: 'contexts: named brokers',
  commands: [VIEW, CURRENT, LIST, SET, USE, DELETE],
}
