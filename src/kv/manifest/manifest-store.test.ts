import { describe, expect, it } from 'vitest';
import { crc32 } from '../../base/crc32.ts';
import { VarveError } from '../../base/errors.ts';
import { SeededRandom } from '../../base/random.ts';
import { replaceFile } from '../../io/atomic-file.ts';
import { codeOf } from '../../testing/code-of.ts';
import { FaultPlan, SimulatedFileSystem } from '../../testing/simulated-file-system.ts';
import { encodeHeader, TablePlace } from '../sstable/format.ts';
import type { TableMeta } from '../sstable/table-meta.ts';
import {
  emptyManifest,
  encodeManifest,
  MANIFEST_FORMAT_VERSION,
  type ManifestState,
} from './format.ts';
import { Levels } from './levels.ts';
import { checkFolder, discardTables, readManifest, tidyFolder } from './manifest-store.ts';

const identity = new Uint8Array(16).fill(0xa1);
const stranger = new Uint8Array(16).fill(0xb2);

function pathOf(number: number): string {
  return `/kv/tables/${String(number).padStart(20, '0')}.tbl`;
}

/** As much of a table as can be seen without opening it. */
function tableBytes(number: number, owner = identity): Uint8Array {
  const bytes = new Uint8Array(200).fill(1);
  bytes.set(encodeHeader(new TablePlace(owner, number)));
  return bytes;
}

function meta(number: number): TableMeta {
  return {
    number,
    size: 200,
    count: 1,
    deleteCount: 0,
    rangeDeleteCount: 0,
    rawSize: 10,
    minKey: Uint8Array.of(number),
    maxKey: Uint8Array.of(number),
    isMaxExclusive: false,
    minSequence: number,
    maxSequence: number,
    ingestSequence: undefined,
    digest: new Uint8Array(32),
  };
}

function stateOf(numbers: readonly number[], rest: Partial<ManifestState> = {}): ManifestState {
  const levels = Levels.from([[], numbers.map(meta)]);
  const known = { hasLog: true, nextTableNumber: 20, lastSequence: 50 };
  return emptyManifest({ identity, levels, ...known, ...rest });
}

/** A store with tables 3 and 5. */
function makeStore(rest: Partial<ManifestState> = {}): SimulatedFileSystem {
  const fileSystem = new SimulatedFileSystem();
  fileSystem.writeFile('/kv/LOCK', new Uint8Array(0));
  const content = encodeManifest(stateOf([3, 5], rest));
  fileSystem.writeFile('/kv/manifest', content);
  fileSystem.writeFile('/kv/manifest.copy', content);
  fileSystem.writeFile(pathOf(3), tableBytes(3));
  fileSystem.writeFile(pathOf(5), tableBytes(5));
  return fileSystem;
}

/** The error of a check, which must have changed nothing. */
function refusalOf(fileSystem: SimulatedFileSystem, log = true): VarveError {
  const before = fileSystem.snapshotDigest();
  try {
    checkFolder(fileSystem, '/kv', { log });
  } catch (error) {
    expect(fileSystem.snapshotDigest()).toBe(before);
    expect(fileSystem.openCount).toBe(0);
    expect(error).toBeInstanceOf(VarveError);
    return error as VarveError;
  }
  throw new Error('the folder was not refused');
}

function newerManifest(bytes: Uint8Array): Uint8Array {
  const newer = bytes.with(4, MANIFEST_FORMAT_VERSION + 1);
  const crcAt = newer.length - 4;
  new DataView(newer.buffer).setUint32(crcAt, crc32(newer, 0, crcAt), true);
  return newer;
}

/** Looks, which changes nothing, and tidies up then. */
function checkedAndTidied(fileSystem: SimulatedFileSystem): object {
  const before = fileSystem.snapshotDigest();
  const check = checkFolder(fileSystem, '/kv', { log: true });
  expect(fileSystem.snapshotDigest()).toBe(before);
  return check.outcome === 'intact' ? { ...check, ...tidyFolder(fileSystem, '/kv', check) } : check;
}

describe('a folder at rest', () => {
  it('is intact if every table is there with its size', () => {
    const fileSystem = makeStore();
    const before = fileSystem.snapshotDigest();
    const check = checkedAndTidied(fileSystem);
    expect(check).toMatchObject({
      outcome: 'intact',
      nextTableNumber: 20,
      removed: [],
      setAside: [],
    });
    expect(fileSystem.snapshotDigest()).toBe(before);
  });

  it('that is empty is a new store’s, with or without the start of one', () => {
    const fileSystem = new SimulatedFileSystem();
    fileSystem.makeDirectory('/kv');
    expect(checkFolder(fileSystem, '/kv', { log: true })).toEqual({ outcome: 'new' });
    fileSystem.makeDirectory('/kv/tables');
    fileSystem.writeFile('/kv/LOCK', new Uint8Array(9));
    fileSystem.writeFile('/kv/manifest.tmp', new Uint8Array(9));
    fileSystem.writeFile('/kv/.DS_Store', new Uint8Array(9));
    fileSystem.writeFile('/kv/log/0', new Uint8Array(4_096));
    expect(checkFolder(fileSystem, '/kv', { log: true })).toEqual({ outcome: 'new' });
  });

  it('lost a table: refused, naming it', () => {
    const fileSystem = makeStore();
    fileSystem.removeFile(pathOf(5));
    expect(refusalOf(fileSystem)).toMatchObject({ code: 'CORRUPT', file: pathOf(5) });
  });

  it('has a table of another size: refused, saying where it ends', () => {
    const fileSystem = makeStore();
    fileSystem.writeFile(pathOf(3), tableBytes(3).subarray(0, 150));
    expect(refusalOf(fileSystem)).toMatchObject({ code: 'CORRUPT', file: pathOf(3), offset: 150 });
  });

  it('lost its manifest beside tables: refused, not started anew', () => {
    const fileSystem = makeStore();
    fileSystem.removeFile('/kv/manifest');
    const refusal = refusalOf(fileSystem);
    expect(refusal).toMatchObject({ code: 'CORRUPT', file: '/kv/manifest' });
    expect(refusal.message).toContain('varve kv repair /kv');
  });

  it('lost its manifest beside a log that holds writes: refused', () => {
    const fileSystem = new SimulatedFileSystem();
    fileSystem.writeFile('/kv/log/0', new Uint8Array(8));
    const check = (holdsWrites: boolean): unknown =>
      checkFolder(fileSystem, '/kv', { log: true, logHoldsWrites: () => holdsWrites });
    expect(check(false)).toEqual({ outcome: 'new' });
    expect(() => check(true)).toThrow(
      expect.objectContaining({
        code: 'CORRUPT',
        message: expect.stringContaining('varve kv repair /kv'),
      }),
    );
  });

  it('has a damaged manifest: refused with the place, whichever byte it is', () => {
    const size = makeStore().readFile('/kv/manifest').length;
    for (let offset = 0; offset < size; offset += 7) {
      const fileSystem = makeStore();
      fileSystem.flipBit('/kv/manifest', offset, offset % 8);
      expect(refusalOf(fileSystem)).toMatchObject({ code: 'CORRUPT', file: '/kv/manifest' });
    }
    const fileSystem = makeStore();
    fileSystem.writeFile('/kv/manifest', new Uint8Array(0));
    expect(refusalOf(fileSystem)).toMatchObject({ code: 'CORRUPT', offset: 0 });
  });

  it('can’t be looked at for a moment: nothing is taken for missing', () => {
    for (const kind of ['stat', 'list', 'open', 'read'] as const) {
      for (let skipped = 0; skipped < 3; skipped += 1) {
        let seen = 0;
        const when = (operation: { kind: string }): 'EIO' | undefined => {
          seen += operation.kind === kind ? 1 : 0;
          return operation.kind === kind && seen === skipped + 1 ? 'EIO' : undefined;
        };
        const fileSystem = makeStore({ hasLog: false }).clone({ faults: new FaultPlan({ when }) });
        const failed = codeOf(() => checkFolder(fileSystem, '/kv', { log: false }));
        expect(failed).toBe(seen > skipped ? 'EIO' : undefined);
        expect(fileSystem.paths()).toHaveLength(5);
      }
    }
  });

  it('is opened the way it was made', () => {
    expect(refusalOf(makeStore(), false).code).toBe('INVALID_ARGUMENT');
    expect(refusalOf(makeStore({ hasLog: false }), true).code).toBe('INVALID_ARGUMENT');
  });
});

function refuseWrites({ kind }: { readonly kind: string }): 'ENOSPC' | undefined {
  return kind === 'write' ? 'ENOSPC' : undefined;
}

describe('tables that the manifest does not name', () => {
  it('are removed if they say that they are ours, whatever their number', () => {
    const fileSystem = makeStore();
    fileSystem.writeFile(pathOf(4), tableBytes(4));
    fileSystem.writeFile(pathOf(31), tableBytes(31).subarray(0, 48));
    fileSystem.writeFile(pathOf(2 ** 40), new Uint8Array(0));
    expect(checkedAndTidied(fileSystem)).toMatchObject({
      removed: [4, 31, 2 ** 40],
      setAside: [],
      nextTableNumber: 32,
    });
    expect(fileSystem.paths()).toEqual([
      '/kv/LOCK',
      '/kv/manifest',
      '/kv/manifest.copy',
      pathOf(3),
      pathOf(5),
    ]);
  });

  it('stay while there is no space to make the name of the manifest durable, and go when there is', () => {
    const whole = makeStore();
    whole.writeFile(pathOf(4), tableBytes(4));
    const full = whole.clone({ faults: new FaultPlan({ when: refuseWrites }) });
    expect(checkedAndTidied(full)).toMatchObject({
      removed: [],
      isNameDurable: false,
      nextTableNumber: 20,
    });
    expect(full.paths()).toContain(pathOf(4));
    const freed = full.clone({});
    expect(checkedAndTidied(freed)).toMatchObject({
      removed: [4],
      isNameDurable: true,
    });
    expect(freed.paths()).not.toContain(pathOf(4));
  });

  it('without a header are set aside, each under a name of its own', () => {
    const fileSystem = makeStore();
    for (const size of [4_096, 20]) {
      fileSystem.writeFile(pathOf(9), new Uint8Array(size));
      expect(checkedAndTidied(fileSystem)).toMatchObject({ setAside: [9] });
    }
    const sizes = fileSystem.list('/kv/quarantine').map(({ name }) => {
      expect(name).toMatch(/^[01]-0{19}9\.tbl$/);
      return fileSystem.stat(`/kv/quarantine/${name}`)?.size;
    });
    expect(sizes).toEqual([4_096, 20]);
  });

  it.each([
    ['another store’s table', pathOf(9), tableBytes(9, stranger)],
    ['a table under another number', pathOf(9), tableBytes(8)],
    ['bytes that are no table', pathOf(9), new Uint8Array(100).fill(3)],
    ['a damaged header', pathOf(9), tableBytes(9).with(10, 0)],
    ['a file of another name', '/kv/tables/notes.txt', new Uint8Array(5)],
    ['a name of too few digits', '/kv/tables/000009.tbl', tableBytes(9)],
    ['a number that is none', `/kv/tables/${'9'.repeat(20)}.tbl`, tableBytes(9)],
    ['a temporary file', `${pathOf(9)}.tmp`, tableBytes(9)],
    ['a folder', `${pathOf(9)}/inside`, tableBytes(9)],
    ['a file beside the tables', '/kv/backup.tar', new Uint8Array(5)],
  ])('%s is refused, and nothing is removed', (_what, path, bytes) => {
    const fileSystem = makeStore();
    fileSystem.writeFile(pathOf(4), tableBytes(4));
    fileSystem.writeFile(pathOf(30), tableBytes(30));
    fileSystem.writeFile(path, bytes);
    const refusal = refusalOf(fileSystem);
    expect(refusal.code).toBe('FOREIGN_FILE');
    expect(path.startsWith(String(refusal.details['file']))).toBe(true);
  });

  it('a folder of other things is no store', () => {
    const fileSystem = new SimulatedFileSystem();
    fileSystem.writeFile('/kv/photo.jpg', new Uint8Array(5));
    expect(refusalOf(fileSystem).code).toBe('NOT_A_STORE');
  });

  it('are not removed before the manifest that can do without them is durable', () => {
    // The process that merged 3 and 5 into 21 was killed between the rename and the sync of the folder.
    const killed = makeStore();
    killed.writeFile(pathOf(21), tableBytes(21));
    const merged = encodeManifest(stateOf([21], { nextTableNumber: 22, edit: 2 }));
    killed.onBeforeOperation = ({ kind }) => {
      if (kind === 'syncDirectory') {
        throw new Error('killed');
      }
    };
    expect(() => replaceFile(killed, '/kv', 'manifest', merged)).toThrow('killed');
    killed.onBeforeOperation = undefined;
    expect(checkedAndTidied(killed)).toMatchObject({ removed: [3, 5] });
    for (let seed = 0; seed < 20; seed += 1) {
      const choice = { keep: 'none', sector: 512, directory: 'ordered' } as const;
      const revived = killed.crashClone(new SeededRandom(seed), choice);
      expect(checkedAndTidied(revived)).toMatchObject({ outcome: 'intact' });
    }
  });
});

describe('names in the manifest', () => {
  it('are numbers: there is no other path than the one made of them', () => {
    const opened: string[] = [];
    const fileSystem = makeStore();
    fileSystem.writeFile('/elsewhere/00000000000000000009.tbl', tableBytes(9));
    fileSystem.writeFile(pathOf(9), tableBytes(9));
    fileSystem.onOperation = ({ path }) => opened.push(path);
    checkedAndTidied(fileSystem);
    expect(opened.every((path) => path === '/kv' || path.startsWith('/kv/'))).toBe(true);
    expect(fileSystem.paths()).toContain('/elsewhere/00000000000000000009.tbl');
  });
});

describe('a store without a log', () => {
  it.each([
    [
      'a missing manifest',
      (fileSystem: SimulatedFileSystem) => fileSystem.removeFile('/kv/manifest'),
    ],
    [
      'a damaged one',
      (fileSystem: SimulatedFileSystem) => fileSystem.flipBit('/kv/manifest', 90, 1),
    ],
    ['a missing table', (fileSystem: SimulatedFileSystem) => fileSystem.removeFile(pathOf(3))],
  ])('is given up for %s, and says so', (_what, damage) => {
    const fileSystem = makeStore({ hasLog: false });
    damage(fileSystem);
    const check = checkFolder(fileSystem, '/kv', { log: false });
    expect(check).toMatchObject({ outcome: 'discarded', reason: { code: 'CORRUPT' } });
    discardTables(fileSystem, '/kv');
    expect(fileSystem.paths()).toEqual(['/kv/LOCK']);
    expect(checkFolder(fileSystem, '/kv', { log: false })).toEqual({ outcome: 'new' });
  });

  it('is not given up because a newer version wrote it', () => {
    const fileSystem = makeStore({ hasLog: false });
    fileSystem.writeFile('/kv/manifest', newerManifest(fileSystem.readFile('/kv/manifest')));
    expect(refusalOf(fileSystem, false).code).toBe('UNSUPPORTED_FORMAT');
    expect(codeOf(() => readManifest(fileSystem, '/kv'))).toBe('UNSUPPORTED_FORMAT');
  });

  it('is removed without what isn’t its own', () => {
    const fileSystem = makeStore({ hasLog: false });
    fileSystem.removeFile('/kv/manifest');
    fileSystem.writeFile(pathOf(9), tableBytes(9, stranger));
    const before = fileSystem.snapshotDigest();
    expect(codeOf(() => discardTables(fileSystem, '/kv'))).toBe('FOREIGN_FILE');
    expect(fileSystem.snapshotDigest()).toBe(before);
  });
});
