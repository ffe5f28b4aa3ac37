/** The broker's connections to PostgreSQL with crash points at the statements that must not be half done. */
import type { QueenDatabase } from '../../packages/broker/src/store/pool/pool.ts'
import type { Sql } from '../../packages/broker/src/store/sql.ts'
import type { CrashSwitch } from './crash-point.ts'

export function crashDatabase(database: QueenDatabase, crash: CrashSwitch): QueenDatabase {
  const hot: Sql = {
    run: <Row extends object>(name: string, text: string, values: readonly unknown[]) => {
      const run = () => database.hot.run<Row>(name, text, values)
      if (name !== 'push_messages' && name !== 'push_known') return run()
      // Only a drain names a buffer; every other value of the statement is an array, bytes, a flag or null.
      const isDrain = values.some((value) => typeof value === 'string')
      return crash.around(isDrain ? 'drain-statement' : 'push-statement', run)
    },
  }
  const changed: Partial<QueenDatabase> = {
    hot,
    transaction: async (pool, work) => {
      let writesSwitch = false
      const result = await database.transaction(pool, (sql) =>
        work({
          run: <Row extends object>(name: string, text: string, values: readonly unknown[]) => {
            const run = () => sql.run<Row>(name, text, values)
            if (name !== 'write_switch') return run()
            writesSwitch = true
            return crash.around('switch-statement', run)
          },
        }),
      )
      if (writesSwitch) crash.reach('switch-commit:after')
      return result
    },
    dedicated: (limits, work) =>
      database.dedicated(limits, (sql) =>
        work({
          ...sql,
          run: <Row extends object>(name: string, text: string, values: readonly unknown[]) => {
            const run = () => sql.run<Row>(name, text, values)
            return name === 'fence' ? crash.around('fence', run) : run()
          },
        }),
      ),
  }
  // Getters (the state of the connection, say) stay those of the real one.
  return new Proxy(database, {
    get: (target, name) => Reflect.get(name in changed ? changed : target, name),
  })
}
