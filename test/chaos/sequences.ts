/**
 * Faults in a certain order: moments that chance would rarely hit and that each guarantee has its own of. A run draws them
 * like any other; with a bug planted (plants.ts) the one that has to bring it to light is what the run consists of.
 */
import { setTimeout as pause } from 'node:timers/promises'
import { until } from '../support/until.ts'
import { countAgainstDisk } from './audit.ts'
import { deleteInWindow } from './doomed.ts'
import type { FaultKind } from './faults.ts'
import { during, type Stage } from './stage.ts'
import { flip, inWindow } from './switching.ts'

/** Enough that every partition of every queue has some of them. */
const BUFFERED_MIN = 30
/** Under other faults the moment may not come; then the sequence goes on without it. */
const PATIENCE_MS = 5_000
/** All instances have to come to the barrier, on a machine that may be busy with other things. */
const DRAINED_MS_MAX = 15_000
/** Longer than a stalled connection may be for a flush to survive it. */
const BLIND_MS = 400
/** A push is answered within 3 s, whatever PostgreSQL does; some of that again for a machine that is short of processors. */
const ALONE_MS_MAX = 5_000
/** While one of them lasts, nothing can be written down. */
const DISK_NOTICED_MS = 500
const DISK_FAULTS = new Set(['sync-fails', 'full', 'full-in-window'])

const sequence = (
  name: string,
  holds: FaultKind['holds'],
  work: (stage: Stage, index: number) => Promise<void>,
  weight = 1.5,
): FaultKind => ({
  name,
  weight,
  holds,
  run: (stage, index) => during(stage, name, `instance ${index}`, () => work(stage, index)),
})

export const SEQUENCES: readonly FaultKind[] = [
  // G1: what it acknowledged a moment ago is there after a power cut, and counted.
  sequence('kill-in-window', ['switch', 'instance'], async (stage, index) => {
    await inWindow(stage, async () => {
      await hasBuffered(stage, index)
      await dieAndReturn(stage, index, 'kill')
    })
  }),
  // G4: the others do not go on without the records of one that sleeps.
  sequence('freeze-in-drain', ['switch', 'instance'], async (stage, index) => {
    const instance = stage.instances[index]!
    const doze = async (): Promise<void> => {
      for (const each of stage.instances.keys()) await hasBuffered(stage, each)
      instance.freeze()
    }
    await inWindow(stage, doze, { exceptAtEnd: instance })
    await pause(stage.random.between(1_000, 2_500))
    instance.thaw()
  }),
  // G3: what was drained before a crash is not drained again.
  sequence('kill-after-drain', ['switch', 'instance'], async (stage, index) => {
    await inWindow(stage, () => hasBuffered(stage, index))
    // What left its buffer may still be staged, where a second time is refused: only behind the barrier is it all stored.
    await maybe(`instance ${index} has drained`, () => isNormal(stage, index), DRAINED_MS_MAX)
    await dieAndReturn(stage, index, 'drain')
  }),
  // G3: nor what was under way when it died.
  sequence('kill-in-drain', ['switch', 'instance'], async (stage, index) => {
    await inWindow(stage, () => hasBuffered(stage, index))
    await pause(stage.random.between(0, 120))
    await dieAndReturn(stage, index, 'drain')
  }),
  // G5: a flush that has left the instance and not arrived when the window opens.
  sequence(
    'blind-at-switch',
    ['switch', 'instance'],
    async (stage, index) => {
      const proxy = stage.proxies[index]!
      proxy.stall()
      // Pushes go into its socket meanwhile.
      await pause(BLIND_MS / 4)
      await inWindow(
        stage,
        async () => {
          await pause(BLIND_MS / 4)
          proxy.heal()
          await pause(stage.random.between(300, 1_000))
        },
        { except: stage.instances[index]! },
      ).finally(() => proxy.heal())
    },
    2,
  ),
  // G5: the same for one that sleeps through the opening and finds pushes waiting when it wakes up.
  sequence(
    'asleep-at-switch',
    ['switch', 'instance'],
    async (stage, index) => {
      const instance = stage.instances[index]!
      instance.freeze()
      await pause(stage.random.between(20, 300))
      await inWindow(
        stage,
        async () => {
          await pause(stage.random.between(0, 1_000))
          instance.thaw()
          await pause(stage.random.between(300, 1_500))
        },
        { except: instance },
      ).finally(() => instance.thaw())
    },
    2,
  ),
  // G4: on again while the drain is under way, a few times over.
  sequence('on-again', ['switch'], async (stage) => {
    for (let turn = 0; turn < 3; turn++) {
      await inWindow(stage, () => pause(stage.random.between(100, 800)), { both: turn === 1 })
      await pause(stage.random.between(0, 150))
    }
  }),
  // Off twice, on twice: an operator who does not trust the answer.
  sequence('twice', ['switch'], async (stage) => {
    await inWindow(stage, async () => {
      await flip(stage, true)
      await pause(stage.random.between(200, 1_000))
    })
    await flip(stage, false)
  }),
  // G9: no room while everything goes to the disk.
  sequence('full-in-window', ['switch', 'instance'], async (stage, index) => {
    const disk = stage.disks[index]!
    const instance = stage.instances[index]!
    await inWindow(stage, async () => {
      await hasBuffered(stage, index)
      if (disk.isOwn) disk.fill()
      else instance.tell({ mood: 'full' })
      await pause(stage.random.between(300, 1_500))
      disk.empty()
      instance.tell({ mood: 'well' })
    })
  }),
  // G8: messages for a queue that is deleted meanwhile.
  sequence('doomed', ['switch'], (stage) => deleteInWindow(stage)),
  // G11: it starts, takes pushes and remembers the window while there is no PostgreSQL to ask.
  sequence('dark-start', ['postgres', 'instance'], async (stage, index) => {
    const { history, instances, postgres, random, traffic } = stage
    const instance = instances[index]!
    await postgres.stop('fast')
    traffic.close(index)
    try {
      await instance.kill9()
      // What it cannot have written down it cannot remember.
      const knew = history.isWindowOpen && !diskFailed(stage, index)
      await instance.start()
      const beganAtMs = history.nowMs
      const { status } = await instance.api.push([{ queue: 'probe', partition: `p${index}` }])
      const tookMs = history.nowMs - beganAtMs
      if (status !== 201) history.wrongAnswers.push(`a push to an instance that started alone was answered ${status}`)
      if (tookMs > ALONE_MS_MAX)
        history.wrongAnswers.push(`a push to an instance that started alone took ${Math.round(tookMs)} ms`)
      const phase = await instance.phase()
      if (knew && history.isWindowOpen && phase !== 'maintenance')
        history.wrongAnswers.push(`instance ${index} started alone in a window and says ${phase}`)
      await pause(random.between(0, 500))
    } finally {
      traffic.open(index)
      await postgres.restart()
    }
  }),
]

/** Whether the instance's disk takes nothing, or has taken something again for so short a time that it may not know of it yet. */
function diskFailed({ history }: Stage, index: number): boolean {
  const fromMs = history.nowMs - DISK_NOTICED_MS
  return history.faults.some(
    ({ detail, kind, toMs }) =>
      DISK_FAULTS.has(kind) && detail === `instance ${index}` && (toMs === null || toMs > fromMs),
  )
}

/** Killed, and what it counts when it is back held against its disk before it is given anything new. */
export async function dieAndReturn(stage: Stage, index: number, after: string, awayMs = 0): Promise<void> {
  const { instances, traffic } = stage
  // Not before the kill: pushes are to be under way when it comes.
  const killed = instances[index]!.kill9()
  traffic.close(index)
  try {
    await killed
    await pause(awayMs)
    await instances[index]!.start()
    await countAgainstDisk(stage, index, after)
  } finally {
    traffic.open(index)
  }
}

/** Messages that this instance promised since the window is open. */
async function hasBuffered(stage: Stage, index: number): Promise<void> {
  await maybe(`instance ${index} has buffered`, async () => (await stage.instances[index]!.buffered()) >= BUFFERED_MIN)
}

async function isNormal(stage: Stage, index: number): Promise<boolean> {
  const instance = stage.instances[index]!
  return (await instance.phase()) === 'normal' && (await instance.buffered()) === 0
}

async function maybe(what: string, look: () => Promise<boolean>, patienceMs = PATIENCE_MS): Promise<void> {
  await until(what, look, patienceMs).catch(() => {})
}
