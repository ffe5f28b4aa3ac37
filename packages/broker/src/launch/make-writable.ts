/** Makes the directories that the broker writes to, and says which variable names one that cannot be. */
import { accessSync, constants, existsSync, mkdirSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { ConfigError } from '../config/config.ts'

/** @param dir an absolute path */
export function makeWritable(variable: string, dir: string): void {
  try {
    makeDirectory(dir)
    accessSync(dir, constants.R_OK | constants.W_OK | constants.X_OK)
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code
    throw new ConfigError(
      variable,
      `The directory ${dir} cannot be written (${reason}); set ${variable} to one that can.`,
    )
  }
}

/**
 * From the first parent that is there, level by level. Node's own recursion never ends where a directory is there and
 * says of what is to be made in it that it does not exist (/proc), and reports that of a read-only file system, too.
 */
function makeDirectory(dir: string): void {
  if (isDirectory(dir)) return
  if (!existsSync(dirname(dir))) makeDirectory(dirname(dir))
  try {
    mkdirSync(dir)
  } catch (error) {
    if (!isDirectory(dir)) throw error // otherwise another start was quicker
  }
}

function isDirectory(path: string): boolean {
  try {
    return statSync(path).isDirectory()
  } catch {
    return false
  }
}
