export const SOURCES_FILE: string
export function ensureDashboard(): Promise<boolean>
