/**
 * The steps of a stop. Each runs once those before it have ended, however they ended: a step that fails must not keep the
 * buffer's directory locked or a connection open.
 */

/** @throws the error of the first step that failed, when all have run */
export async function inOrder(steps: readonly (() => unknown)[]): Promise<void> {
  const failures: unknown[] = []
  for (const step of steps) {
    try {
      await step()
    } catch (error) {
      failures.push(error)
    }
  }
  if (failures.length > 0) throw failures[0]
}
