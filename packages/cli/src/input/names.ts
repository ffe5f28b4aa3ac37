/** Names that stand in arguments, checked before anything is asked: a typing error costs no request. */
import { CliError } from '../command/failure.ts'

const NAME_CHARS_MAX = 255
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/

export function checkedName(what: string, name: string): string {
  const length = [...name].length
  if (length === 0 || length > NAME_CHARS_MAX || CONTROL.test(name) || !name.isWellFormed()) {
    throw new CliError(`${what} must have 1 to ${NAME_CHARS_MAX} characters, none of them a control character`, {
      code: 'INVALID_NAME',
    })
  }
  return name
}
