export function runChild(command: string, args: readonly string[], options: object): Promise<number>
export function withoutNpm(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv
export function signalReceived(): NodeJS.Signals | undefined
export function exitCodeOf(signal: NodeJS.Signals): number
