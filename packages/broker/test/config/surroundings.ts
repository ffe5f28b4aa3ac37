import { readConfig } from '../../src/config/read-config.ts'

/** readConfig() on a made-up machine. */
export function read(env: Record<string, string | undefined>) {
  return readConfig(env, { workingDir: '/work dir', projectDir: '/srv/queen', hostname: 'box' })
}
