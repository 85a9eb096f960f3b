/** Restoring a backup: verified, then copied; the folder is a store once everything is there. And derived data made again by order. */
import { audit, open, rebuildIndex, restore, type RestoreProgress } from 'varve';
import { SeededRandom, SimulatedClock, SimulatedFileSystem } from 'varve/testing';
import { describe, expect, it } from 'vitest';
import { isInStride } from '../stride.ts';
import { eventsOf, noise, textOf } from './damage.ts';
import { changesDisk, cutPower } from './oracle.ts';

async function filledDisk(): Promise<SimulatedFileSystem> {
  const disk = new SimulatedFileSystem();
  const components = { fileSystem: disk, clock: new SimulatedClock(), random: new SeededRandom(1) };
  const sizes = { maxSegmentBytes: 1024 * 1024, indexMemoryBytes: 16 * 1024 };
  const store = await open('/backup', sizes, components);
  for (let position = 0; position < 40; position += 1) {
    const data = noise(position % 4 === 0 ? 500_000 : 20, position);
    const key = { idempotencyKey: `key-${position}` };
    await store.append(`s/${position % 5}`, [{ type: 'T', data }], key);
  }
  await store.settled();
  await store.close();
  return disk;
}

const componentsOf = (
  fileSystem: SimulatedFileSystem,
): { fileSystem: SimulatedFileSystem; clock: SimulatedClock } => ({
  fileSystem,
  clock: new SimulatedClock(),
});

async function textAt(disk: SimulatedFileSystem, path: string): Promise<string> {
  const store = await open(path, { create: false, readOnly: true }, { fileSystem: disk });
  const text = textOf(await eventsOf(store));
  await store.close();
  return text;
}

describe('restore', () => {
  it('makes a store that is the same, with its derived data, and leaves the backup as it is', async () => {
    const disk = await filledDisk();
    const before = disk.clone();
    const seen: RestoreProgress[] = [];
    const onProgress = (progress: RestoreProgress): void => void seen.push(progress);
    const result = await restore('/backup', '/new/store', { onProgress }, componentsOf(disk));
    expect(result).toMatchObject({ events: 40, report: { ok: true } });
    expect(result.derived).toBeGreaterThan(20);
    expect(result.segments).toBeGreaterThan(2);
    expect(new Set(seen.map(({ phase }) => phase))).toEqual(new Set(['verify', 'copy']));
    expect(await textAt(disk, '/new/store')).toBe(await textAt(before, '/backup'));
    for (const path of before.paths().filter((each) => each.startsWith('/backup/'))) {
      expect(Buffer.compare(disk.readFile(path), before.readFile(path)), path).toBe(0);
    }
    const report = await audit('/new/store', {}, componentsOf(disk));
    expect(report).toMatchObject({ ok: true, findingCount: 0, derived: { ok: true } });
    const store = await open('/new/store', {}, { fileSystem: disk });
    expect(store.id).toBe(result.id);
    expect(store.recovery).toMatchObject({ wasClosed: true, isNew: false });
    const repeat = await store.append('s/0', [{ type: 'T', data: noise(500_000, 0) }], {
      idempotencyKey: 'key-0',
    });
    expect(repeat.outcome).toBe('duplicate');
    await store.close();
  });

  it('is no store before everything is durable, wherever the power is cut', async () => {
    const disk = await filledDisk();
    const wanted = await textAt(disk, '/backup');
    const random = new SeededRandom(5);
    const cuts: { readonly clone: SimulatedFileSystem; readonly what: string }[] = [];
    let count = 0;
    disk.onBeforeOperation = (operation) => {
      if (changesDisk(operation)) {
        count += 1;
        if (isInStride(count, 3)) {
          const { clone, text } = cutPower(disk, random);
          cuts.push({ clone, what: `${operation.kind} ${operation.path}: ${text}` });
        }
      }
    };
    await restore('/backup', '/store', {}, componentsOf(disk));
    disk.onBeforeOperation = undefined;
    const none = { keep: 'none', sector: 512, directory: 'ordered' } as const;
    expect(await textAt(disk.crashClone(random, none), '/store')).toBe(wanted);
    for (const { clone, what } of cuts) {
      if (clone.stat('/store/store.json') !== undefined) {
        expect(await textAt(clone, '/store'), what).toBe(wanted);
      }
      expect(await textAt(clone, '/backup'), what).toBe(wanted);
    }
    expect(cuts.length).toBeGreaterThan(5);
  });

  it('refuses, and makes nothing, where the backup is damaged, in use, or no store', async () => {
    const disk = await filledDisk();
    const store = await open('/backup', {}, { fileSystem: disk });
    const attempt = (source = '/backup', target = '/store', options = {}): Promise<unknown> =>
      restore(source, target, options, componentsOf(disk));
    await expect(attempt()).rejects.toMatchObject({ code: 'LOCKED' });
    await store.close();
    await expect(attempt('/nothing')).rejects.toMatchObject({ code: 'NOT_A_STORE' });
    await expect(attempt('/backup', '/backup')).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    await expect(attempt('/backup', '/backup/new')).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    });
    const wrong = { code: 'INVALID_ARGUMENT' };
    await expect(attempt('/backup', '/store', { all: true })).rejects.toMatchObject(wrong);
    await expect(attempt('/backup', '/store', { derived: 1 })).rejects.toMatchObject(wrong);
    const signal = AbortSignal.abort();
    await expect(attempt('/backup', '/store', { signal })).rejects.toMatchObject({
      code: 'ABORTED',
    });
    disk.flipBit('/backup/log/00000000000000000000.seg', 2_000, 1);
    await expect(attempt()).rejects.toMatchObject({
      code: 'CORRUPT',
      details: { file: '/backup/log/00000000000000000000.seg' },
    });
    expect(disk.stat('/store')).toBeUndefined();
    disk.writeFile('/full/x', new Uint8Array(1));
    await expect(attempt('/backup', '/full')).rejects.toMatchObject(wrong);
  });

  it('leaves derived data out that is damaged or not wanted', async () => {
    const disk = await filledDisk();
    const other = await restore('/backup', '/bare', { derived: false }, componentsOf(disk));
    expect(other.derived).toBeUndefined();
    const table = disk.paths().find((path) => path.endsWith('.tbl'))!;
    disk.flipBit(table, 60, 1);
    const result = await restore('/backup', '/store', {}, componentsOf(disk));
    expect(result).toMatchObject({ derived: undefined, report: { derived: { ok: false } } });
    const made = disk.paths().filter((path) => /^\/(?:store|bare)\/derived/.test(path));
    expect(made).toEqual([]);
    expect(await textAt(disk, '/store')).toBe(await textAt(disk, '/bare'));
  });
});

describe('rebuildIndex', () => {
  it('makes derived data again, whatever it was', async () => {
    const disk = await filledDisk();
    disk.flipBit(
      disk.paths().find((path) => path.endsWith('.tbl'))!,
      60,
      1,
    );
    const phases = new Set<string>();
    const stats = await rebuildIndex(
      '/backup',
      { onProgress: ({ phase }) => void phases.add(phase) },
      componentsOf(disk),
    );
    expect(stats).toMatchObject({ isAnswering: true, failure: undefined });
    expect(phases.has('verify')).toBe(true);
    const report = await audit('/backup', {}, componentsOf(disk));
    expect(report.derived).toMatchObject({ ok: true });
  });

  it('changes nothing where the log is damaged', async () => {
    const disk = await filledDisk();
    disk.flipBit('/backup/log/00000000000000000000.seg', 2_000, 1);
    const digest = disk.snapshotDigest();
    await expect(rebuildIndex('/backup', {}, componentsOf(disk))).rejects.toMatchObject({
      code: 'CORRUPT',
    });
    expect(disk.snapshotDigest()).toBe(digest);
  });

  it('changes nothing when it was aborted before', async () => {
    const disk = await filledDisk();
    const digest = disk.snapshotDigest();
    const rebuilding = rebuildIndex('/backup', { signal: AbortSignal.abort() }, componentsOf(disk));
    await expect(rebuilding).rejects.toMatchObject({ code: 'ABORTED' });
    expect(disk.snapshotDigest()).toBe(digest);
  });
});
