/** A log is read from the position that tables cover, if the manifest's mark stands there; and refused if something else does. */
import { createHash } from 'node:crypto';
import type { KvOptions, KvStore } from 'varve/kv';
import { FaultPlan, type SimulatedFileSystem } from 'varve/testing';
import { describe, expect, it } from 'vitest';
import {
  decodeManifest,
  encodeManifest,
  type ManifestState,
} from '../../dist/kv/manifest/format.js';
import { codeOf, disk, filled, openOn } from './simulated-store.ts';

const KiB = 1024;
/** Nothing is flushed but when it is asked for. */
const options: KvOptions = { memtableBytes: 16 * KiB * KiB, background: 'inline' };

function manifestOf(fileSystem: SimulatedFileSystem): ManifestState {
  return decodeManifest(fileSystem.readFile('/kv/manifest')) as ManifestState;
}

/** Names and contents of all files but the lock's. */
function contentDigestOf(fileSystem: SimulatedFileSystem): string {
  const hash = createHash('sha256');
  for (const path of fileSystem.paths().filter((name) => !name.endsWith('LOCK'))) {
    hash.update(`${path}\n`).update(fileSystem.readFile(path));
  }
  return hash.digest('hex');
}

function hasMark(fileSystem: SimulatedFileSystem): boolean {
  return manifestOf(fileSystem).flushedMark.some((byte) => byte !== 0);
}

/** The same store, whose manifest doesn't know the mark. */
function withoutMark(fileSystem: SimulatedFileSystem): SimulatedFileSystem {
  const copy = fileSystem.clone();
  const state = { ...manifestOf(copy), flushedMark: new Uint8Array(32) };
  copy.writeFile('/kv/manifest', encodeManifest(state));
  return copy;
}

async function put(kv: KvStore, from: number, to: number, size: number, byte = 1): Promise<void> {
  for (let index = from; index < to; index += 1) {
    await kv.put(`key-${String(index).padStart(6, '0')}`, filled(size, byte));
  }
}

function contentOf(kv: KvStore): string {
  const hash = createHash('sha256');
  for (const [key, value] of kv.iterateSync()) {
    hash.update(key).update(value);
  }
  return hash.digest('hex');
}

/** Opens a copy as a kill leaves it; how much is read of the log, and what is there. */
async function openAfterKill(
  fileSystem: SimulatedFileSystem,
  given: KvOptions = options,
): Promise<{ readSize: number; replayed: number; content: string }> {
  const copy = fileSystem.clone();
  let readSize = 0;
  copy.onOperation = ({ kind, path, size = 0 }) => {
    readSize += kind === 'read' && path.endsWith('.seg') ? size : 0;
  };
  const kv = await openOn(copy, given);
  const opened = { readSize, replayed: kv.recovery.replayed, content: contentOf(kv) };
  await kv.close();
  return opened;
}

function segmentsOf(fileSystem: SimulatedFileSystem): string[] {
  return fileSystem.paths().filter((path) => path.endsWith('.seg'));
}

/** A store with a full segment that tables cover in part. */
async function partlyFlushed(): Promise<{ fileSystem: SimulatedFileSystem; content: string }> {
  const fileSystem = disk();
  const kv = await openOn(fileSystem, options);
  await put(kv, 0, 90, 10 * KiB);
  await kv.flush();
  await put(kv, 90, 150, 10 * KiB);
  const content = contentOf(kv);
  for (let turn = 0; turn < 50; turn += 1) {
    await new Promise(setImmediate);
  }
  return { fileSystem, content };
}

describe('the flushed position', () => {
  it('is where a log is read from after a kill: less of it than without', async () => {
    const { fileSystem, content } = await partlyFlushed();
    expect(segmentsOf(fileSystem)).toHaveLength(2);
    expect(manifestOf(fileSystem)).toMatchObject({ flushedPosition: 90, flushedSequence: 90 });
    expect(hasMark(fileSystem)).toBe(true);
    const known = await openAfterKill(fileSystem);
    const unknown = await openAfterKill(withoutMark(fileSystem));
    expect(known).toMatchObject({ replayed: 60, content });
    expect(unknown).toMatchObject({ replayed: 60, content });
    // The frames below it take 900 KiB; the walk reads 256 KiB at a time.
    expect(unknown.readSize - known.readSize).toBeGreaterThan(600 * KiB);
  });

  it('is the end of a batch also where a memtable ends amid one, and survives replays', async () => {
    const fileSystem = disk();
    const small: KvOptions = { ...options, memtableBytes: 64 * KiB };
    let kv = await openOn(fileSystem, small);
    let previous = 0;
    for (let round = 0; round < 6; round += 1) {
      const batch = Array.from({ length: 20 }, (_, index) => ({
        type: 'put' as const,
        key: `batch-${round}-${index}`,
        value: filled(9 * KiB, round),
      }));
      await put(kv, round * 10, round * 10 + 7, 500);
      await kv.batch(batch);
      await kv.settled();
      const content = contentOf(kv);
      const { flushedPosition, flushedSequence } = manifestOf(fileSystem);
      expect(hasMark(fileSystem)).toBe(true);
      expect(flushedPosition).toBeGreaterThan(previous);
      expect(flushedSequence - flushedPosition).toBeGreaterThan(0);
      expect(flushedPosition % 27).toBe(7);
      previous = flushedPosition;
      expect((await openAfterKill(fileSystem, small)).content).toBe(content);
      if (round % 2 === 1) {
        await kv.close();
        kv = await openOn(fileSystem, small);
      }
    }
    await kv.close();
  });

  it('of a copy that went its own way with writes of equal sizes is refused', async () => {
    const first = disk();
    const kv = await openOn(first, options);
    await put(kv, 0, 20, KiB);
    await kv.close();
    const second = first.clone();
    for (const [index, fileSystem] of [first, second].entries()) {
      const own = await openOn(fileSystem, options);
      await put(own, 20, 50, KiB, 7 + index);
      await own.flush();
      await put(own, 50, 60, KiB, 7 + index);
    }
    // Tables and manifest of the one, log of the other.
    const mixed = second.clone();
    for (const path of mixed.paths().filter((name) => name.includes('/log/'))) {
      mixed.removeFile(path);
    }
    for (const path of first.paths().filter((name) => name.includes('/log/'))) {
      mixed.writeFile(path, first.readFile(path));
    }
    await expect(openOn(mixed, options)).rejects.toMatchObject({ code: 'CORRUPT', position: 50 });
    await expect(openOn(mixed, { ...options, readOnly: true })).rejects.toThrow(
      'this is not the log of which position 50 is known',
    );
    expect((await openAfterKill(first)).replayed).toBe(10);
  });

  it('after the end of the log is evidence of lost writes', async () => {
    const fileSystem = disk();
    const kv = await openOn(fileSystem, options);
    await put(kv, 0, 20, KiB);
    const early = fileSystem.clone();
    await put(kv, 20, 50, KiB);
    await kv.flush();
    const later = fileSystem.clone();
    for (const path of later.paths().filter((name) => name.includes('/log/'))) {
      later.removeFile(path);
    }
    for (const path of early.paths().filter((name) => name.includes('/log/'))) {
      later.writeFile(path, early.readFile(path));
    }
    const opened = openOn(later, options);
    await expect(opened).rejects.toMatchObject({ code: 'CORRUPT', position: 20 });
    await expect(opened).rejects.toThrow('positions 20 to 49 were durable');
    await kv.close();
  });

  it('has no mark where it can not be read, and then all is read', async () => {
    const fileSystem = disk();
    const kv = await openOn(fileSystem, options);
    await put(kv, 0, 10, KiB);
    fileSystem.onBeforeOperation = ({ kind, path }) => {
      if (kind === 'read' && path.endsWith('.seg')) {
        throw Object.assign(new Error('EIO on purpose'), { code: 'EIO' });
      }
    };
    await kv.flush();
    fileSystem.onBeforeOperation = undefined;
    expect(manifestOf(fileSystem).flushedPosition).toBe(10);
    expect(hasMark(fileSystem)).toBe(false);
    await put(kv, 10, 20, KiB);
    expect((await openAfterKill(fileSystem)).replayed).toBe(10);
    await kv.flush();
    expect(hasMark(fileSystem)).toBe(true);
    await kv.close();
    expect(await codeOf(openOn(fileSystem, options))).toBeUndefined();
  });
});

/** Two copies that went on with writes of equal sizes; the flushed position is where the newest segment begins. */
async function copies(): Promise<[SimulatedFileSystem, SimulatedFileSystem]> {
  const first = disk();
  const kv = await openOn(first, options);
  await kv.put('start', filled(10, 1));
  await kv.close();
  const second = first.clone();
  for (const [byte, fileSystem] of [first, second].entries()) {
    const copy = await openOn(fileSystem, options);
    await copy.put('fills the segment', filled(1_000 * KiB, 7));
    await copy.put('in the tables', filled(2_000 * KiB, byte));
    await copy.flush();
    await copy.put('in the log', filled(150 * KiB, byte));
    await copy.close();
  }
  return [first, second];
}

describe('a position at the border of two segments', () => {
  it('keeps the segment before it, and refuses the log of a copy', async () => {
    const [first, second] = await copies();
    const { flushedPosition } = manifestOf(first);
    const begins = segmentsOf(first);
    expect(begins.at(-1)).toContain(`${flushedPosition}.seg`);
    expect(begins.length).toBeGreaterThan(1);
    expect(segmentsOf(second)).toEqual(begins);
    const swapped = first.clone();
    for (const path of second.paths().filter((name) => name.startsWith('/kv/log/'))) {
      swapped.writeFile(path, second.readFile(path));
    }
    const before = contentDigestOf(swapped);
    await expect(openOn(swapped, options)).rejects.toMatchObject({ code: 'CORRUPT' });
    expect(contentDigestOf(swapped)).toBe(before);
    const kv = await openOn(first.clone(), options);
    expect(kv.getSync('in the log')?.at(0)).toBe(0);
    await kv.close();
  });
});

describe('a store that can not be opened', () => {
  it.each(['/kv/manifest', '/kv/manifest.copy'])(
    'keeps no file open when %s can not be replaced, and opens later',
    async (path) => {
      const fileSystem = disk();
      const kv = await openOn(fileSystem, options);
      await put(kv, 0, 20, KiB);
      await kv.close();
      const faults = new FaultPlan({
        when: ({ kind, target }) => (kind === 'rename' && target === path ? 'EIO' : undefined),
      });
      const failing = fileSystem.clone({ faults });
      await expect(openOn(failing, options)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
      expect(failing.openCount).toBe(0);
      const again = await openOn(failing.clone({}), options);
      expect(again.getSync('key-000019')).toHaveLength(KiB);
      await again.close();
    },
  );
});

describe('a store whose log is refused', () => {
  it('is left as it was: tables that its manifest does not name stay', async () => {
    const fileSystem = disk();
    const kv = await openOn(fileSystem, { ...options, levelZeroTables: 50 });
    await kv.put('a', filled(500 * KiB, 1));
    await kv.flush();
    const older = ['/kv/manifest', '/kv/manifest.copy'].map(
      (path) => [path, fileSystem.readFile(path)] as const,
    );
    for (let index = 0; index < 6; index += 1) {
      await kv.put(`b${index}`, filled(900 * KiB, index));
      await kv.flush();
    }
    await kv.settled();
    await kv.close();
    for (const [path, bytes] of older.slice(0, 1)) {
      fileSystem.writeFile(path, bytes);
    }
    const before = contentDigestOf(fileSystem);
    await expect(openOn(fileSystem, options)).rejects.toMatchObject({ code: 'CORRUPT' });
    expect(contentDigestOf(fileSystem)).toBe(before);
    // What the copy names is all there: repair gives it back.
    expect(fileSystem.paths().filter((path) => path.endsWith('.tbl')).length).toBeGreaterThan(5);
  });
});
