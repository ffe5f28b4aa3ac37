/** Colours, and whether there are any. A sign never stands for something that the text does not say too. */
export interface Style {
  readonly enabled: boolean
  bold(text: string): string
  dim(text: string): string
  red(text: string): string
  green(text: string): string
  yellow(text: string): string
}

export interface ColorWish {
  readonly flag: boolean | null
  readonly env: Readonly<Record<string, string | undefined>>
  readonly isTty: boolean
}

/** The flag wins, then CLICOLOR_FORCE, then NO_COLOR and CLICOLOR=0, then whether somebody looks. */
export function wantsColor({ flag, env, isTty }: ColorWish): boolean {
  if (flag !== null) return flag
  if (env.CLICOLOR_FORCE !== undefined && env.CLICOLOR_FORCE !== '' && env.CLICOLOR_FORCE !== '0') return true
  if (env.NO_COLOR !== undefined && env.NO_COLOR !== '') return false
  if (env.CLICOLOR === '0' || env.TERM === 'dumb') return false
  return isTty
}

export function createStyle(enabled: boolean): Style {
  const paint = (open: number, close: number) => (text: string) =>
    enabled ? `\u001b[${open}m${text}\u001b[${close}m` : text
  return {
    enabled,
    bold: paint(1, 22),
    dim: paint(2, 22),
    red: paint(31, 39),
    green: paint(32, 39),
    yellow: paint(33, 39),
  }
}
