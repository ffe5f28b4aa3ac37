/** What `maintenance run` tells at its ends. Pure. */
import type { MaintenanceStatus } from '@queen/client'
import { age, bytes, count, quantity } from '../../output/values.ts'
import { fullIn, timeToFullSeconds } from '../words.ts'

/** The command failed and the window is open: what that means and the three ways on. */
export function failureGuidance(
  end: { code: number; signal: string | null },
  status: MaintenanceStatus | null,
): string[] {
  const how = end.signal === null ? `ended with ${end.code}` : `was ended by ${end.signal} (${end.code})`
  return [`The command ${how}.`, ...stateOfWindow(status), 'Ways on:', ...WAYS]
}

function stateOfWindow(status: MaintenanceStatus | null): string[] {
  if (status === null)
    return ['No broker tells the state of maintenance; as far as is known it is on and pushes are buffered.']
  if (!status.maintenanceMode) return ['Maintenance is off: somebody else has switched it off meanwhile.']
  return [
    `Maintenance stays on. Pushes are still buffered and safe (${quantity(status.bufferedMessages, 'message')}); ${disks(status)}.`,
  ]
}

/** No pushes, no rate: then what is free has to do. */
function disks(status: MaintenanceStatus): string {
  const seconds = timeToFullSeconds(status)
  if (seconds !== null) return `the disks last ${fullIn(seconds)} at this rate`
  const free = status.instances.filter((each) => each.live).map((each) => each.diskFreeBytes)
  const known = free.filter((each) => typeof each === 'number')
  if (known.length === 0 || known.length < free.length) return 'how long the disks last is not known'
  return `the fullest disk has ${bytes(Math.min(...known))} free`
}

const WAYS = [
  '  repair and run again:  queenctl maintenance run --reuse -- <command>',
  '  continue by hand:      do the rest yourself, then queenctl maintenance off --wait',
  '  give up:               queenctl maintenance off --wait',
]

export function summary(windowMs: number, buffered: number | null, final: MaintenanceStatus): string {
  const left = final.bufferedMessages
  const drained = buffered === null || left === null ? null : Math.max(0, buffered - left)
  return [
    `Window ${age(windowMs)}`,
    `${quantity(buffered, 'message')} buffered`,
    `${count(drained)} drained`,
    `quarantined ${count(final.quarantinedMessages)}`,
  ].join(', ')
}
