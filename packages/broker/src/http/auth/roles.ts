/** From the claims of a token to what its bearer may do. */
import type { AuthenticationConfig } from '../../config/config.ts'
import type { Level } from '../route.ts'

/** Each may do what the ones before it may. */
const ORDER = ['readOnly', 'readWrite', 'admin'] as const

export type Role = (typeof ORDER)[number]

export const REQUIRED: Readonly<Record<Exclude<Level, 'P'>, Role>> = { R: 'readOnly', W: 'readWrite', A: 'admin' }

export function includes(role: Role, required: Role): boolean {
  return ORDER.indexOf(role) >= ORDER.indexOf(required)
}

/** The highest known role among the claims; undefined = none is known. */
export function roleOf(claims: Readonly<Record<string, unknown>>, config: AuthenticationConfig): Role | undefined {
  const found = new Set([config.roleClaim, config.rolesClaim].flatMap((name) => texts(claimAt(claims, name))))
  return ORDER.findLast((role) => found.has(config.roles[role]))
}

/** A claim of that whole name, or else the way through objects that its dots describe. */
function claimAt(claims: Readonly<Record<string, unknown>>, name: string): unknown {
  if (Object.hasOwn(claims, name)) return claims[name]
  let value: unknown = claims
  for (const part of name.split('.')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, part)) return undefined
    value = (value as Record<string, unknown>)[part]
  }
  return value
}

function texts(value: unknown): string[] {
  return (Array.isArray(value) ? value : [value]).filter((each) => typeof each === 'string')
}
