/**
 * The executable. Turns on Node's cache of compiled code, which halves the time to the first word, and then loads the
 * program. The cache lies in the user's own directory: what lies in a shared one, others could have written.
 */
import { enableCompileCache } from 'node:module'
import { homedir } from 'node:os'
import { join } from 'node:path'

// Where it cannot be written, Node goes on without.
enableCompileCache(process.env.NODE_COMPILE_CACHE || join(homedir(), '.queen', 'cache', 'code'))
await import('./program.ts')
