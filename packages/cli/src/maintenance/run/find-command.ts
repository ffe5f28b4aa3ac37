/** Whether a command is there at all, looked up as a shell would: before anybody is asked to wait for it. */
import { statSync } from 'node:fs'
import { delimiter, join } from 'node:path'

export function commandExists(command: string, path: string | undefined): boolean {
  if (command === '') return false
  if (command.includes('/')) return isFile(command)
  return (path ?? '').split(delimiter).some((directory) => isFile(join(directory === '' ? '.' : directory, command)))
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() === true
}
