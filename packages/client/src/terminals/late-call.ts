/** A callback attached after the outcome is called at once. Nobody waits for it, so its failure can only be reported. */
export type LateCallback = (error: unknown) => void

export function lateCall(callback: () => unknown, complain: LateCallback): void {
  try {
    Promise.resolve(callback()).catch(complain)
  } catch (error) {
    complain(error)
  }
}
