/** What the exit codes mean. Scripts depend on them: a number keeps its meaning for ever. */
export const EXIT = {
  done: 0,
  /** A flag, an argument, an input, or a missing --yes. */
  user: 1,
  /** The broker refused, failed or cannot be reached; or a part of the work failed. */
  broker: 2,
  /** 401 or 403. */
  auth: 3,
  /** Empty pop, no match. */
  nothing: 4,
  /** The state refuses: not what --expect says, buffer locked or damaged. */
  state: 5,
  /** A wait timed out; the operation goes on in the broker. */
  timeout: 6,
  /** `maintenance run`: nothing was done. */
  notBegun: 121,
  /** `maintenance run`: not safe in time, switched off again. */
  notSafe: 122,
  /** `maintenance run`: the command succeeded, the drain did not end in time. */
  notDrained: 123,
  /** `maintenance run`: as a shell says it. */
  notExecutable: 126,
  notFound: 127,
  interrupted: 130,
} as const

export const EXIT_MEANING: Readonly<Record<number, string>> = {
  0: 'done',
  1: 'user error: flag, argument, input, missing --yes',
  2: 'broker error or unreachable, partial failure',
  3: 'no or bad token, or the role is too low (401, 403)',
  4: 'nothing to do: empty pop, no match',
  5: 'the state refuses: not what --expect says, buffer locked or damaged, conflict (409)',
  6: 'a wait timed out; the operation goes on in the broker',
  121: 'not begun: the check failed and nothing was done',
  122: 'not safe in time: switched off again, the command did not run',
  123: 'the command succeeded, the drain did not end in time; the broker goes on by itself',
  126: 'the command could not be executed; switched off again',
  127: 'the command was not found; switched off again',
  130: 'interrupted',
}
