/**
 * The files of the built dashboard, read into memory once at the start.
 *
 * Invariant: what can be asked for is what lay in the folder then, by its exact path; no request ever reaches the disk.
 * It never builds anything: `npm start` does, before the broker runs.
 */
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { extname, join, relative, sep } from 'node:path'

export interface PageFile {
  readonly type: string
  /** With its quotes. */
  readonly etag: string
  /** Its name changes with its contents. */
  readonly immutable: boolean
  readonly plain: Buffer
  /** Made by the build; null where it would not have been smaller. */
  readonly brotli: Buffer | null
  readonly gzip: Buffer | null
}

/** By path, with its leading slash. */
export type PageFiles = ReadonlyMap<string, PageFile>

export const INDEX_PATH = '/index.html'
/** Everything below has a hash of its contents in its name. */
export const ASSETS_PREFIX = '/assets/'

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.ico': 'image/x-icon',
  '.woff2': 'font/woff2',
  '.txt': 'text/plain; charset=utf-8',
}
// The dashboard is under 3 MB with its compressed forms; a folder of more than this is something else.
const BYTES_MAX = 64 * 1024 * 1024

/** Empty when the dashboard was not built. */
export function readPageFiles(directory: string): PageFiles {
  const contents = new Map<string, Buffer>()
  let bytes = 0
  try {
    for (const entry of readdirSync(directory, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue
      const path = join(entry.parentPath, entry.name)
      const content = readFileSync(path)
      bytes += content.length
      if (bytes > BYTES_MAX) return new Map()
      contents.set(`/${relative(directory, path).split(sep).join('/')}`, content)
    }
  } catch {
    // Not there, or replaced by a new build in this very moment: the API does not depend on it.
    return new Map()
  }
  const files = new Map<string, PageFile>()
  for (const [path, plain] of contents) {
    const type = TYPES[extname(path)]
    if (type === undefined) continue
    const etag = `"${createHash('sha256').update(plain).digest('base64url').slice(0, 22)}"`
    const immutable = path.startsWith(ASSETS_PREFIX)
    const brotli = contents.get(`${path}.br`) ?? null
    files.set(path, { type, etag, immutable, plain, brotli, gzip: contents.get(`${path}.gz`) ?? null })
  }
  return files.has(INDEX_PATH) ? files : new Map()
}
