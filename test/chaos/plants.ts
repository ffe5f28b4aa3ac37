/** Bugs on purpose: a judge that does not notice them would not notice the real ones either. */
import pg from 'pg'

export const PLANTS = ['skip-fsync', 'overtake', 'forget-progress', 'ignore-fence'] as const
export type Plant = (typeof PLANTS)[number]

const ROUNDS = 2

/** The sequence (sequences.ts) that brings each to light, how often it runs, and the guarantee that it breaks. */
export const EXPOSED_BY: Record<
  Plant,
  { readonly sequence: string; readonly rounds: number; readonly breaks: string }
> = {
  'skip-fsync': { sequence: 'kill-in-window', rounds: ROUNDS, breaks: 'G2' },
  overtake: { sequence: 'freeze-in-drain', rounds: ROUNDS, breaks: 'G4' },
  'forget-progress': { sequence: 'kill-after-drain', rounds: ROUNDS, breaks: 'G3' },
  'ignore-fence': { sequence: 'blind-at-switch', rounds: ROUNDS, breaks: 'G5' },
}

/** Changes of the text of SQL functions: name, what it says, what it is to say. Each has to be found. */
const CHANGES: Record<Plant, readonly (readonly [string, string, string])[]> = {
  // The disk lies instead: see chaos-disk.ts.
  'skip-fsync': [],
  // Every instance believes that it is the last one with records, and that the others agree.
  overtake: [
    [
      'report_drain',
      'l.awaited, l.frontier, l.pending, l.ungated, l.first_id, l.called',
      '0, NULL::bigint, 0::bigint, 0, NULL::text, false',
    ],
    ['finish_drain', 'v_left.awaited > 0 OR v_left.pending > 0 OR v_left.ungated > 0', 'false'],
  ],
  // A drain would notice at its next step that it is not remembered.
  'forget-progress': [
    ['push_messages', 'v_progress <> p_drained_after OR', 'false OR'],
    ['stage_records', 'v_progress <> p_after OR', 'false OR'],
    ['push_messages', 'SET drained_through = p_drained_through', 'SET drained_through = b.drained_through'],
    ['stage_records', 'SET drained_through = p_through', 'SET drained_through = b.drained_through'],
  ],
  'ignore-fence': [
    ['push_messages', 'IF v_enabled THEN', 'IF false THEN'],
    ['push_known', 'IF diverted THEN', 'diverted := false; IF false THEN'],
  ],
}

/** In a database whose schema is there. */
export async function plant(databaseUrl: string, bug: Plant): Promise<void> {
  const client = new pg.Client({ connectionString: databaseUrl })
  await client.connect()
  try {
    for (const [name, from, to] of CHANGES[bug]) {
      const { rows } = await client.query<{ definition: string }>(
        `SELECT pg_get_functiondef(p.oid) AS definition FROM pg_proc p
          WHERE p.pronamespace = 'queen'::regnamespace AND p.proname ~ $1`,
        [`^${name}_[0-9a-f]{8}$`],
      )
      if (rows.length === 0) throw new Error(`there is no function ${name} to plant a bug in`)
      for (const { definition } of rows) {
        if (!definition.includes(from)) throw new Error(`${name} does not say: ${from}`)
        await client.query(definition.replaceAll(from, to))
      }
    }
  } finally {
    await client.end()
  }
}
