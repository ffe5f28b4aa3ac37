/** `buffer check` and `buffer salvage` on real buffer directories, and the launcher on whatever Node the machine has. */
import { spawnSync } from 'node:child_process'
import { appendFileSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { openFileBuffer } from '@queen/file-buffer'
import { afterAll, expect, test } from 'vitest'
import { queenctl } from '../support/queenctl.ts'

const q = queenctl(() => 'http://127.0.0.1:1')
const root = mkdtempSync(join(tmpdir(), 'queenctl-check-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))

test('clean, in use, torn, damaged, and no buffer at all', async () => {
  const directory = join(root, 'buffer')
  const buffer = await openFileBuffer({ directory, bufferBytesMax: 1e9, diskFreeBytesMin: 0 })
  await buffer.append({
    count: 2,
    bytesMax: 6,
    flags: () => 0,
    write: (index, target, at) => at + target.write(['one', 'two'][index]!, at),
  })
  const live = await q(['buffer', 'check', directory])
  expect(live.exit).toBe(5)
  expect(live.err).toContain(`in use by process ${process.pid}`)
  expect(await q(['buffer', 'check', directory, '--live'])).toMatchObject({ exit: 0 })
  await buffer.close()
  const clean = await q(['buffer', 'check', directory, '--json'])
  expect(clean.exit).toBe(0)
  expect(JSON.parse(clean.out)).toMatchObject({ clean: true, records: 2, drained: null })
  const file = join(directory, readdirSync(directory).find((name) => name.endsWith('.qbuf'))!)
  const bytes = readFileSync(file)
  appendFileSync(file, 'half a record')
  const torn = await q(['buffer', 'check', directory])
  expect(torn.exit).toBe(5)
  expect(torn.out).toContain(`torn tail at byte ${bytes.length}`)
  bytes[128 + 33]! ^= 1
  writeFileSync(file, bytes)
  const damaged = await q(['buffer', 'check', directory, '--verbose'])
  expect(damaged.exit).toBe(5)
  expect(damaged.out).toContain('damaged at record 1')
  expect(await q(['buffer', 'check', root])).toMatchObject({ exit: 1 })
})

test('says plainly which records are in no file, and what to do about it', async () => {
  const directory = join(root, 'gone')
  const pathOfNewest = () => join(directory, readdirSync(directory).findLast((name) => name.endsWith('.qbuf'))!)
  const open = () => openFileBuffer({ directory, bufferBytesMax: 1e9, diskFreeBytesMin: 0 })
  const write = (_: number, target: Buffer, at: number) => at + target.write('one', at)
  const pushes = async (...counts: number[]): Promise<void> => {
    for (const count of counts) {
      const buffer = await open()
      await buffer.append({ count, bytesMax: 6, flags: () => 0, write })
      await buffer.close()
    }
  }
  const said = async () => {
    const { exit, out } = await q(['buffer', 'check', directory])
    return [exit, ...out.trim().split('\n').slice(-3)]
  }
  const putBack = expect.stringContaining('Put it back while the instance is stopped')
  await pushes(2)
  const only = pathOfNewest()
  renameSync(only, join(root, 'only'))
  expect(await said()).toEqual([
    5,
    'gap: records 1 to at least 2 were acknowledged and are in no file: the only one is gone, or its end is',
    putBack,
    '0 records, 0 B, records are missing; drained: unknown (only the database knows)',
  ])
  renameSync(join(root, 'only'), only)
  expect((await said())[0]).toBe(0)
  await pushes(1, 1)
  const third = pathOfNewest()
  renameSync(third, join(root, 'third'))
  expect(await said()).toEqual([
    5,
    'gap: records 4 to at least 4 were acknowledged and are in no file: the newest one is gone, or its end is',
    putBack,
    expect.stringMatching(/^3 records, .*, records are missing;/),
  ])
  const second = pathOfNewest()
  renameSync(second, join(root, 'second'))
  renameSync(join(root, 'third'), third)
  appendFileSync(third, 'half a record')
  expect(await said()).toEqual([
    5,
    expect.stringMatching(/^gap: records 3 to 3 were .*: the one before 0*4.qbuf is gone, or its end is$/),
    putBack,
    expect.stringMatching(/^3 records, .*, torn or damaged, records are missing;/),
  ])
})

test('salvage takes whole records into a new directory, and says what is in its way', async () => {
  const directory = join(root, 'broken')
  const buffer = await openFileBuffer({ directory, bufferBytesMax: 1e9, diskFreeBytesMin: 0 })
  const write = (index: number, target: Buffer, at: number) => at + target.write(['one', 'two'][index]!, at)
  await buffer.append({ count: 2, bytesMax: 6, flags: () => 0, write })
  await buffer.close()
  const name = readdirSync(directory).find((each) => each.endsWith('.qbuf'))!
  const aside = join(root, `${name}.aside`)
  renameSync(join(directory, name), aside)
  const target = join(root, 'rescue', 'buffer')
  expect(await q(['buffer', 'salvage', target, aside, '--from', '2'])).toMatchObject({
    exit: 0,
    out: `1 record (2 to 2) taken into ${target}; 0 damaged places passed over.\n`,
  })
  expect(await q(['buffer', 'check', target, '--json'])).toMatchObject({ exit: 0 })
  const again = await q(['buffer', 'salvage', target, aside])
  expect([again.exit, again.err]).toEqual([1, expect.stringContaining('is not empty')])
  const nothing = await q(['buffer', 'salvage', join(root, 'nothing'), aside, '--from', '3', '--json'])
  expect([nothing.exit, JSON.parse(nothing.out).records]).toEqual([5, 0])
  expect((await q(['buffer', 'salvage', join(root, 'other'), join(root, 'no-such-file')])).exit).toBe(1)
  const like = join(root, 'whole')
  const bytes = readFileSync(aside)
  writeFileSync(like, bytes)
  writeFileSync(aside, bytes.fill(0, 0, 128))
  const headless = await q(['buffer', 'salvage', join(root, 'other'), aside])
  expect([headless.exit, headless.err]).toEqual([1, expect.stringContaining('--like')])
  const salvaged = await q(['buffer', 'salvage', join(root, 'other'), aside, '--like', like, '--json'])
  expect([salvaged.exit, JSON.parse(salvaged.out)]).toMatchObject([0, { records: 2, damages: 0 }])
})

test('the launcher hands arguments and the exit code through', () => {
  const launcher = fileURLToPath(new URL('../../bin/queenctl.mjs', import.meta.url))
  const run = (...args: string[]) => spawnSync(process.execPath, [launcher, ...args], { encoding: 'utf8' })
  expect(run('version', '--short')).toMatchObject({ status: 0, stdout: '1.0.0\n' })
  expect(run('help', 'nonsense-topic')).toMatchObject({ status: 1 })
})
