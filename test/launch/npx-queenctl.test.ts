/** `npx queenctl`: there once the repository is installed, whatever Node the system has. */
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const npx = (...args: string[]) => spawnSync('npx', ['--no-install', ...args], { cwd: ROOT, encoding: 'utf8' })

test('npx queenctl works, and its exit code goes through', () => {
  expect(npx('queenctl', 'version', '--short')).toMatchObject({ status: 0, stdout: '1.0.0\n' })
  const wrong = npx('queenctl', 'pnig')
  expect(wrong.status).toBe(1)
  expect(wrong.stderr).toContain('Did you mean ping?')
})
