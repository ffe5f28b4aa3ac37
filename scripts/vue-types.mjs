/**
 * Type check of the dashboard's components. vue-tsc needs a compiler that is written in JavaScript; the project's own
 * TypeScript no longer is, so the last one that was is installed beside it under another name.
 */
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { PROJECT_DIR } from './installation.mjs'

const require = createRequire(import.meta.url)
process.argv.push('--noEmit', '-p', join(PROJECT_DIR, 'packages', 'dashboard'))
require('vue-tsc').run(require.resolve('typescript-for-vue/lib/tsc'))
