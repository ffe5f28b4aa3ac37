/**
 * Brings the schema up once PostgreSQL answers: at the start, or later when the start met no database. Until then
 * nothing reads or writes the tables, because they may not be there.
 */
import type { Log } from '../ports/log.ts'
import { StoreError } from '../ports/store-error.ts'

/** What the migrator reports. @throws StoreError, SchemaError */
export type Migrate = () => Promise<{ readonly applied: readonly string[]; readonly functionsInstalled: boolean }>

export interface Schema {
  /** Resolves when the schema is there. @throws StoreError when PostgreSQL cannot bring it up now, SchemaError when it must not */
  ready(): Promise<void>
  /** One try; a database that is away is no error. @throws SchemaError, SchemaRefused */
  attempt(): Promise<void>
}

/** The database answers, and refuses what the schema needs: trying again changes nothing. */
export class SchemaRefused extends Error {
  readonly exitCode = 2
}

export function openSchema(migrate: Migrate, log: Log): Schema {
  let done = false
  let running: Promise<void> | null = null

  async function bringUp(): Promise<void> {
    const { applied, functionsInstalled } = await migrate()
    done = true
    if (applied.length > 0) log.info({ migrations: applied }, 'the schema is migrated')
    else if (functionsInstalled) log.info({}, 'the functions of this version are installed')
  }

  async function ready(): Promise<void> {
    if (done) return
    running ??= bringUp().finally(() => {
      running = null
    })
    await running
  }

  return {
    ready,
    async attempt() {
      try {
        await ready()
      } catch (error) {
        if (!(error instanceof StoreError)) throw error
        if (!error.transient) {
          log.debug({ err: error }, 'the schema is refused')
          throw new SchemaRefused(
            `The schema "queen" cannot be made in this database: ${error.message}; when another program has a schema of this name, give Queen a database of its own`,
            { cause: error },
          )
        }
        log.warn({ reason: error.message }, 'PostgreSQL is not there: pushes go to the file buffer until it is')
      }
    },
  }
}
