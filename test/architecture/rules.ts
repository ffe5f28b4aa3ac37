/**
 * The directions of the house. Data flows http → engine → ports; store and file buffer stand behind the ports and do
 * not know each other; app.ts and main.ts alone know concrete parts.
 */
import type { Import } from './imports.ts'

/** Which rooms of the broker a room may look into, beside itself. A room that is not listed is a violation. */
const ROOMS: Readonly<Record<string, readonly string[]>> = {
  'main.ts': ['app.ts', 'config', 'launch', 'observe'],
  'app.ts': ['config', 'http', 'engine', 'ports', 'store', 'services', 'observe'],
  'index.ts': ['app.ts', 'config'],
  'copy-database.ts': ['store'],
  config: [],
  launch: ['config'],
  http: ['engine', 'ports', 'observe', 'config'],
  engine: ['ports'],
  ports: ['engine'],
  store: ['ports', 'engine'],
  services: ['engine', 'ports', 'observe'],
  observe: ['config', 'engine', 'ports'],
}

/**
 * The rooms inside the engine, and whose code each may run; words (types) they all share. What lies in none of them
 * (refusals, types, the engine's own door) is for all.
 */
const ENGINE_ROOMS: Readonly<Record<string, readonly string[]>> = {
  format: [],
  maintenance: [],
  queues: ['format'],
  push: ['format'],
  settle: ['format'],
  consume: ['format', 'settle'],
  drain: ['push', 'maintenance'],
  reads: ['format'],
}
/** Of those that lie in no room, the one that puts the engine together runs code of this one. */
const ENGINE_DOOR = ['maintenance']
/** And the store, which has to know what segments and ids look like as bytes. */
const STORE_RUNS = 'format'

/** Words only: a port speaks in the engine's types, and http may pass on what stands behind a port but not use it. */
const TYPES_ONLY = new Set(['ports engine', 'http ports'])

/** Which packages of ours a place may use: the longest matching prefix decides. */
const PACKAGES: Readonly<Record<string, readonly string[]>> = {
  'packages/protocol/': [],
  'packages/file-buffer/': [],
  'packages/embedded-postgres/': [],
  'packages/client/': ['protocol'],
  'packages/cli/': ['client', 'protocol', 'file-buffer'],
  'packages/dashboard/': ['client', 'protocol'],
  'packages/broker/src/': ['protocol'],
  'packages/broker/src/app.ts': ['protocol', 'file-buffer'],
  'packages/broker/src/main.ts': ['protocol', 'embedded-postgres'],
  'packages/broker/src/launch/': ['embedded-postgres'],
}

/** The database driver is the store's own. */
const DRIVERS = /^pg($|[-/])/

export function violations(imports: readonly Import[]): string[] {
  const found: string[] = []
  for (const each of imports) {
    const reason = each.isPackage ? wrongPackage(each) : wrongRoom(each)
    if (reason !== undefined) found.push(`${each.from} imports ${each.to}: ${reason}`)
  }
  return [...found, ...cycles(imports)]
}

function wrongPackage({ from, to }: Import): string | undefined {
  if (DRIVERS.test(to)) {
    const allowed = /^packages\/(broker\/src\/store|embedded-postgres\/src\/testing)\//
    return allowed.test(from) ? undefined : 'only the store speaks to PostgreSQL'
  }
  const ours = /^@queen\/([^/]+)/.exec(to)?.[1]
  if (ours === undefined) return undefined
  const place = Object.keys(PACKAGES)
    .filter((prefix) => from.startsWith(prefix))
    .sort((a, b) => b.length - a.length)[0]
  if (place === undefined) return 'this package has no rule yet'
  return PACKAGES[place]!.includes(ours) ? undefined : `${place} must not know @queen/${ours}`
}

function wrongRoom({ from, to, typeOnly }: Import): string | undefined {
  const home = /^packages\/([^/]+)\/src\//.exec(from)?.[1]
  if (home === undefined || !to.startsWith(`packages/${home}/`)) return 'packages meet by their names, never by path'
  if (home !== 'broker') return undefined
  const [here, there] = [roomOf(from), roomOf(to)]
  if (here === there) return here === 'engine' && !typeOnly ? wrongEngineRoom(from, to) : undefined
  if (!ROOMS[here]?.includes(there)) return `${here} must not know ${there}`
  if (TYPES_ONLY.has(`${here} ${there}`) && !typeOnly)
    return `${here} may name types of ${there} and run none of its code`
  if (here === 'store' && there === 'engine' && !typeOnly && engineRoomOf(to) !== STORE_RUNS)
    return `the store runs no code of the engine but ${STORE_RUNS}`
  return undefined
}

function roomOf(path: string): string {
  return path.split('/')[3]!
}

function wrongEngineRoom(from: string, to: string): string | undefined {
  const [here, there] = [engineRoomOf(from), engineRoomOf(to)]
  if (there === undefined || here === there) return undefined
  const allowed = here === undefined ? ENGINE_DOOR : ENGINE_ROOMS[here]
  return allowed?.includes(there) ? undefined : `engine/${here ?? ''} must not run code of engine/${there}`
}

function engineRoomOf(path: string): string | undefined {
  const parts = path.split('/')
  return parts.length > 5 ? parts[4] : undefined
}

/** At run time. Types of one room may speak of each other, as the two ends of a pointer do. */
function cycles(imports: readonly Import[]): string[] {
  const next = new Map<string, string[]>()
  for (const { from, to, isPackage, typeOnly } of imports) {
    if (!isPackage && !typeOnly) next.set(from, [...(next.get(from) ?? []), to])
  }
  const found: string[] = []
  const done = new Set<string>()
  const walk = (file: string, path: readonly string[]): void => {
    const seenAt = path.indexOf(file)
    if (seenAt >= 0) found.push(`cycle: ${[...path.slice(seenAt), file].join(' → ')}`)
    if (seenAt >= 0 || done.has(file)) return
    for (const target of next.get(file) ?? []) walk(target, [...path, file])
    done.add(file)
  }
  for (const file of next.keys()) walk(file, [])
  return found
}
