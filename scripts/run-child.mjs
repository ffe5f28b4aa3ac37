/**
 * One child in the foreground: same terminal, our signals, its exit code. Never ends before the child has.
 */
import { spawn } from 'node:child_process'
import { constants } from 'node:os'

/** How late we may notice that npm was ended. */
const PARENT_CHECK_MS = 250

/** Taken before anything has run: a parent that ends during an installation or a build is noticed all the same. */
const PARENT = process.ppid
let received

/** What somebody told us while a child was running: then no other one is to be started. */
export function signalReceived() {
  return received
}

/** As a shell says it. */
export function exitCodeOf(signal) {
  return 128 + (constants.signals[signal] ?? 0)
}

/** @returns {Promise<number>} the exit code, or 128 + signal number as a shell would say */
export function runChild(command, args, options) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: 'inherit', ...options })
    // Ctrl-C reaches the whole terminal group, the child included; a plain `kill` only us. Both are passed on, and the
    // child knows that a doubled signal is one.
    const forward = (signal) => {
      received ??= signal
      child.kill(signal)
    }
    const signals = ['SIGINT', 'SIGTERM', 'SIGHUP']
    for (const signal of signals) process.on(signal, forward)
    // npm passes SIGTERM to its shell only, which ends without a word to us: its end is our signal.
    // Without npm we may well be meant to outlive the shell that started us.
    const parentCheck = setInterval(() => {
      if (process.env.npm_lifecycle_event === undefined || process.ppid === PARENT) return
      clearInterval(parentCheck)
      forward('SIGTERM')
    }, PARENT_CHECK_MS)
    child.once('error', reject)
    child.once('exit', (code, signal) => {
      clearInterval(parentCheck)
      for (const each of signals) process.off(each, forward)
      resolve(code ?? exitCodeOf(signal))
    })
  })
}

/** The environment without what npm adds for its scripts: the program is to see what its user set. */
export function withoutNpm(env) {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !/^(npm_|INIT_CWD$)/i.test(name)))
}
