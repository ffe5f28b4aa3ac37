/** Completion in the shells that are here: bash always, zsh and fish where they are installed. */
import { spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Emulated, KEY, NODE_COMPILE_CACHE, openTerminal } from '../support/pty.ts'
import { realBroker } from '../support/real-broker.ts'

const broker = realBroker()
const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
const home = mkdtempSync(join(tmpdir(), 'queenctl-shell-'))
const bin = join(home, 'bin')
afterAll(() => rmSync(home, { recursive: true, force: true }))

beforeAll(async () => {
  mkdirSync(bin)
  const wrapper = join(bin, 'queenctl')
  writeFileSync(wrapper, `#!/bin/sh\nexec "${process.execPath}" "${MAIN}" "$@"\n`)
  chmodSync(wrapper, 0o755)
  const items = ['shop.orders', 'shop.invoices'].map((queue) => ({ queue, partition: 'p-1', payload: 1 }))
  await fetch(`${broker.url}/api/v1/push`, { method: 'POST', body: JSON.stringify({ items }) })
})

/** How each shell is started without anybody's own settings, and told where its completion is. */
const SHELLS = {
  bash: { args: ['--norc', '--noprofile'], load: 'PS1="> "; source <(queenctl completion bash)' },
  zsh: { args: ['-f'], load: 'PS1="> "; autoload -Uz compinit; compinit -D; source <(queenctl completion zsh)' },
  fish: { args: ['--no-config'], load: 'function fish_prompt; echo "> "; end; queenctl completion fish | source' },
} as const
const installed = (Object.keys(SHELLS) as (keyof typeof SHELLS)[]).filter(
  (shell) => spawnSync(shell, ['-c', 'true']).status === 0,
)

test('bash is among the shells', () => {
  expect(installed).toContain('bash')
})

const PATIENCE_MS = 5_000
const TRIES = 6

/** A name that the broker does not tell within half a second is not completed: who waits presses the key again. */
async function complete(terminal: Emulated, keys: string, shown: (screen: string) => boolean): Promise<void> {
  for (let tries = 1; ; tries++) {
    terminal.press(keys)
    try {
      await terminal.until(shown, PATIENCE_MS)
      return
    } catch (error) {
      if (tries === TRIES) throw error
      await freshLine(terminal)
    }
  }
}

/** A shell that is still busy with the last key may drop a Ctrl-C. */
async function freshLine(terminal: Emulated): Promise<void> {
  for (let tries = 1; ; tries++) {
    terminal.press(KEY.ctrlC)
    try {
      await terminal.until(() => terminal.lines().at(-1)?.trim() === '>', PATIENCE_MS)
      return
    } catch (error) {
      if (tries === TRIES) throw error
    }
  }
}

// Some twenty starts of queenctl in each shell, on a machine that may do other things.
const SHELL_MS = 180_000

test.each(installed)('%s completes commands, flags, values and names', { timeout: SHELL_MS }, async (shell) => {
  const { args, load } = SHELLS[shell]
  const env = { PATH: `${bin}:${process.env.PATH}`, HOME: home, QUEEN_URL: broker.url, NODE_COMPILE_CACHE }
  const terminal = openTerminal(shell, args, env, { columns: 120, rows: 40 })
  terminal.press(`${load}; echo load''ed\r`)
  await terminal.until(/^loaded$/m)
  // What is typed, and what must stand there after the key.
  for (const [typed, completed] of [
    ['queenctl mainten', 'queenctl maintenance '],
    ['queenctl maintenance sta', 'queenctl maintenance status '],
    ['queenctl maintenance status --exp', 'queenctl maintenance status --expect '],
    ['queenctl maintenance status --expect dra', 'queenctl maintenance status --expect draining '],
    ['queenctl pop shop.ord', 'queenctl pop shop.orders '],
    ['queenctl tail shop.orders --partition p', 'queenctl tail shop.orders --partition p-1 '],
  ] as const) {
    const line = completed.trimEnd()
    await complete(terminal, `${typed}\t`, () => terminal.lines().at(-1)?.trimEnd().endsWith(line) === true)
    await freshLine(terminal)
  }
  // More than one: the second key shows them.
  await complete(terminal, 'queenctl pop shop.\t\t', (screen) => /shop\.invoices\s+shop\.orders/.test(screen))
  await freshLine(terminal)
  // Where nothing is known, files are.
  await complete(
    terminal,
    `queenctl push shop.orders ${home}/bi\t`,
    () => terminal.lines().at(-1)?.trimEnd().endsWith(`${home}/bin/`) === true,
  )
  terminal.end()
  await terminal.ended
})
