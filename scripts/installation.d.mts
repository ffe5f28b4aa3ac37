export const PROJECT_DIR: string
export class InstallationError extends Error {}
export function ensureInstalled(dir?: string): void
export function pinnedNode(): string
