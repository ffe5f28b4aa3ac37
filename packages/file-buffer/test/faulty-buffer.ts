/** A buffer on a disk that fails when told to, and the file it writes. */
import { FaultDisk } from '../src/fault-disk.ts'
import { type FileBuffer, type FileBufferOptions, openFileBuffer } from '../src/index.ts'
import { sourceOf } from './bodies.ts'

export const DIRECTORY = '/buffer'
/** The first file. */
export const FILE = `${DIRECTORY}/00000000000000000001.qbuf`
export const HEADERS_END = 128

export const BODIES = ['first', '', 'the third one', 'fourth '.repeat(9), 'last']

export const open = (disk: FaultDisk, more: Partial<FileBufferOptions> = {}): Promise<FileBuffer> =>
  openFileBuffer({ directory: DIRECTORY, disk, bufferBytesMax: 2 ** 30, diskFreeBytesMin: 0, ...more })

/** The first file as it is with these records, where each begins, and where the last one ends. */
export async function fileOf(bodies: readonly string[]): Promise<{ contents: Buffer; starts: number[] }> {
  const disk = new FaultDisk()
  const buffer = await open(disk)
  await buffer.append(sourceOf(bodies))
  await buffer.close()
  const starts: number[] = []
  let at = HEADERS_END
  for (const body of bodies) {
    starts.push(at)
    at += 32 + body.length
  }
  return { contents: disk.contents(FILE), starts: [...starts, at] }
}

export function diskWith(contents: Buffer): FaultDisk {
  const disk = new FaultDisk()
  disk.put(FILE, contents)
  return disk
}
