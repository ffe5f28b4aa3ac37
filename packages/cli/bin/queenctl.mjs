#!/usr/bin/env node
/**
 * The door for any Node from 20.19 on: the program itself is TypeScript and runs on the Node that the project pins.
 * Says nothing and decides nothing; arguments, terminal, signals and the exit code go through unchanged.
 */
import { fileURLToPath } from 'node:url'
import { InstallationError, pinnedNode } from '../../../scripts/installation.mjs'
import { runChild } from '../../../scripts/run-child.mjs'

const main = fileURLToPath(new URL('../src/main.ts', import.meta.url))
try {
  process.exitCode = await runChild(pinnedNode(), [main, ...process.argv.slice(2)], { env: process.env })
} catch (error) {
  if (!(error instanceof InstallationError)) throw error
  process.stderr.write(`queenctl: ${error.message}.\n`)
  process.exitCode = 1
}
