import { readIntoAsync } from '../io/read-into.ts';
import { describe, expect, it } from 'vitest';
import { SeededRandom } from '../base/random.ts';
import type { File } from '../io/file-system.ts';
import { codeOf, codeOfAsync } from './code-of.ts';
import { FaultPlan, SimulatedFileSystem } from './simulated-file-system.ts';
import type { Operation } from './simulated-file-system.ts';

describe('operations', () => {
  it('are counted from 1 and shown before and after their effect', async () => {
    const seen: string[] = [];
    const disk: SimulatedFileSystem = new SimulatedFileSystem({
      onBeforeOperation: ({ index, kind }) => seen.push(`${index} ${kind}: ${state()}`),
      onOperation: ({ index, kind, async }) =>
        seen.push(`${index} ${kind}${async ? ' async' : ''}: ${state()}`),
    });
    const state = (): string =>
      disk
        .paths()
        .map((path) => [path, ...disk.readFile(path)].join())
        .join(' ');
    const file = disk.open('/a', 'create');
    file.write(Uint8Array.of(1), 0);
    await file.writeAsync(Uint8Array.of(2), 1);
    disk.rename('/a', '/b');
    expect(seen).toEqual([
      '1 create: ',
      '1 create: /a',
      '2 write: /a',
      '2 write: /a,1',
      '3 write: /a,1',
      '3 write async: /a,1,2',
      '4 rename: /a,1,2',
      '4 rename: /b,1,2',
    ]);
    expect(disk.operations).toBe(4);
    expect(disk.counts).toMatchObject({ create: 1, write: 2, rename: 1, sync: 0 });
  });

  it('say where, how much, and how they failed', () => {
    const seen: Operation[] = [];
    const { disk, file } = storeWith(4);
    disk.onOperation = (operation) => seen.push(operation);
    disk.faults.failAt(disk.operations + 1, 'EIO');
    codeOf(() => file.write(filled(2, 3), 1));
    codeOf(() => disk.link('/a', '/missing/b'));
    file.truncate(2);
    const path = '/a';
    expect(seen).toEqual([
      { index: 2, kind: 'write', path, offset: 1, size: 3, async: false, error: 'EIO' },
      { index: 3, kind: 'link', path, target: '/missing/b', async: false, error: 'ENOENT' },
      { index: 4, kind: 'truncate', path, size: 2, async: false },
    ]);
  });

  it('have no effect if the observer before them throws', () => {
    const { disk, file } = storeWith(4);
    disk.onBeforeOperation = () => {
      throw new Error('power is off');
    };
    expect(codeOf(() => file.write(filled(2, 4), 0))).toBe('no code');
    expect(disk.readFile('/a')).toEqual(filled(1, 4));
  });
});

describe('faults', () => {
  it.each(['EIO', 'ENOSPC'] as const)('fail any operation with %s and without effect', (code) => {
    const { disk, file } = storeWith(4);
    const digest = disk.snapshotDigest();
    disk.faults.capacity = Infinity;
    const actions = [
      () => file.write(filled(2, 4), 0),
      () => file.truncate(0),
      () => file.read(new Uint8Array(1), 0),
      () => file.sync(),
      () => disk.open('/b', 'create'),
      () => disk.open('/a', 'read'),
      () => disk.rename('/a', '/b'),
      () => disk.link('/a', '/b'),
      () => disk.remove('/a'),
      () => disk.makeDirectory('/c'),
      () => disk.syncDirectory('/'),
      () => disk.list('/'),
      () => disk.stat('/a'),
    ];
    for (const action of actions) {
      disk.faults.failAt(disk.operations + 1, code);
      expect(codeOf(action)).toBe(code);
      expect(disk.snapshotDigest()).toBe(digest);
    }
  });

  it('reject asynchronous calls', async () => {
    const faults = new FaultPlan({ when: ({ async }) => (async ? 'EIO' : undefined) });
    const disk = new SimulatedFileSystem({ faults });
    const file = disk.open('/a', 'create');
    expect(await codeOfAsync(() => file.writeAsync(filled(1, 4), 0))).toBe('EIO');
    expect(await codeOfAsync(() => file.syncAsync())).toBe('EIO');
    expect(await codeOfAsync(() => readIntoAsync(file, filled(1, 4), 0))).toBe('EIO');
    expect(file.write(filled(1, 4), 0)).toBe(4);
  });

  it('apply a prefix of a failing write if it is partial', () => {
    const sizes = new Set<number>();
    const faults = new FaultPlan({
      when: ({ kind }) => (kind === 'write' ? { kind: 'EIO', partial: true } : undefined),
    });
    const disk = new SimulatedFileSystem({ faults });
    for (let round = 0; round < 100; round += 1) {
      const file = disk.open(`/${round}`, 'create');
      expect(codeOf(() => file.write(filled(1, 4), 0))).toBe('EIO');
      expect(disk.readFile(`/${round}`)).toEqual(filled(1, file.size()));
      sizes.add(file.size());
    }
    expect(sizes).toEqual(new Set([0, 1, 2, 3, 4]));
  });

  it('shorten writes without an error, and mean nothing elsewhere', () => {
    const sizes = new Set<number>();
    const disk = new SimulatedFileSystem({ faults: new FaultPlan({ when: () => 'short' }) });
    for (let round = 0; round < 100; round += 1) {
      const file = disk.open(`/${round}`, 'create');
      const size = file.write(filled(1, 4), 0);
      expect(file.size()).toBe(size);
      sizes.add(size);
      file.sync();
    }
    disk.syncDirectory('/');
    expect(sizes).toEqual(new Set([1, 2, 3]));
    expect(durable(disk).snapshotDigest()).toBe(disk.snapshotDigest());
  });
});

describe('a failed sync', () => {
  it('leaves sectors that no later sync makes durable', () => {
    const { disk, file } = storeWith(512);
    file.write(filled(2, 512), 0);
    failNext(disk, () => file.sync());
    file.sync();
    file.sync();
    expect(disk.readFile('/a')).toEqual(filled(2, 512));
    expect(durable(disk).readFile('/a')).toEqual(filled(1, 512));
    expect(valuesAfterCrash(disk)).toEqual(['1', '2']);
  });

  it('is mended by writing the sectors again, one by one', () => {
    const { disk, file } = storeWith(1024);
    file.write(filled(2, 1024), 0);
    failNext(disk, () => file.sync());
    file.write(filled(3, 512), 512);
    file.sync();
    expect(valuesAfterCrash(disk)).toEqual(['1,3', '2,3']);
    file.write(filled(2, 512), 0);
    file.sync();
    expect(valuesAfterCrash(disk)).toEqual(['2,3']);
  });

  it('leaves changes of names that no later sync makes durable', () => {
    const { disk } = storeWith(512);
    disk.rename('/a', '/b');
    failNext(disk, () => disk.syncDirectory('/'));
    disk.syncDirectory('/');
    expect(disk.paths()).toEqual(['/b']);
    expect(durable(disk).paths()).toEqual(['/a']);
  });
});

describe('a full disk', () => {
  it('takes what fits and then nothing, but overwrites what it has', () => {
    const disk = new SimulatedFileSystem({ faults: new FaultPlan({ capacity: 10_000 }) });
    const file = disk.open('/a', 'create');
    expect(file.write(filled(1, 6000), 0)).toBe(6000);
    expect(file.write(filled(2, 6000), 6000)).toBe(4000);
    expect(codeOf(() => file.write(filled(3, 1), 10_000))).toBe('ENOSPC');
    expect(file.write(filled(4, 10_000), 0)).toBe(10_000);
    expect(file.write(filled(4, 100), 9950)).toBe(50);
    expect(file.size()).toBe(10_000);
    expect(disk.allocatedSize).toBe(10_000);
    disk.faults.capacity = 5000;
    expect(file.write(filled(5, 10_000), 0)).toBe(10_000);
  });

  it('gives space back when a file is cut, or removed and closed', () => {
    const disk = new SimulatedFileSystem({ faults: new FaultPlan({ capacity: 1000 }) });
    const file = disk.open('/a', 'create');
    const other = disk.open('/b', 'create');
    file.write(filled(1, 1000), 0);
    expect(codeOf(() => other.write(filled(1, 1), 0))).toBe('ENOSPC');
    file.truncate(900);
    expect(other.write(filled(1, 101), 0)).toBe(100);
    disk.remove('/a');
    expect(codeOf(() => other.write(filled(1, 1), 100))).toBe('ENOSPC');
    file.close();
    expect(other.write(filled(1, 901), 100)).toBe(900);
  });

  it('has no space behind a truncation that lengthened a file, only behind written zeros', () => {
    const { disk, file } = storeWith(0);
    file.truncate(8192);
    file.write(new Uint8Array(4096), 0);
    disk.faults.capacity = 4096;
    expect(file.write(filled(1, 8192), 0)).toBe(4096);
    expect(codeOf(() => file.write(filled(1, 1), 5000))).toBe('ENOSPC');
    const holed = disk.open('/holed', 'create');
    disk.faults.capacity = 8192;
    expect(holed.write(filled(1, 4096), 4096)).toBe(4096);
    disk.faults.capacity = 8292;
    expect(holed.write(filled(1, 4100), 0)).toBe(100);
    disk.faults.capacity = Infinity;
    expect(file.write(filled(1, 8192), 0)).toBe(8192);
  });
});

describe('a slow disk', () => {
  it('holds syncs, and what they cover stays un-synced, until they are released in order', async () => {
    const { disk, file } = storeWith(512);
    const order: string[] = [];
    disk.holdSyncs();
    file.write(filled(2, 512), 0);
    const first = file.syncAsync().then(() => order.push('first'));
    await settled();
    file.write(filled(3, 600), 0);
    const second = file.syncAsync().then(() => order.push('second'));
    await settled();
    expect(order).toEqual([]);
    expect(disk.pendingCount).toBe(2);
    expect(firstValuesAfterCrash(disk)).toEqual(['1', '2', '3']);
    disk.releaseSyncs(1);
    // The first covers nothing that was written while it was held.
    expect(firstValuesAfterCrash(disk)).toEqual(['2', '3']);
    expect(durable(disk).readFile('/a')).toEqual(filled(2, 512));
    await first;
    expect(order).toEqual(['first']);
    const third = file.syncAsync();
    expect(disk.pendingCount).toBe(2);
    disk.releaseSyncs();
    await Promise.all([second, third]);
    expect(durable(disk).readFile('/a')).toEqual(filled(3, 600));
    expect(disk.pendingCount).toBe(0);
    await file.syncAsync();
  });

  it('holds writes, whose bytes are there at once', async () => {
    const { disk, file } = storeWith(4);
    const order: string[] = [];
    disk.holdWrites();
    const writes = [
      file.writeAsync(filled(2, 2), 0).then((size) => order.push(`first ${size}`)),
      file.writeAsync(filled(3, 1), 3).then((size) => order.push(`second ${size}`)),
    ];
    await settled();
    expect(order).toEqual([]);
    expect([...disk.readFile('/a')]).toEqual([2, 2, 1, 3]);
    expect(codeOf(() => file.close())).toBe('INTERNAL');
    disk.releaseWrites();
    await Promise.all(writes);
    expect(order).toEqual(['first 2', 'second 1']);
    file.close();
  });
});

describe('a slow disk that holds reads', () => {
  it('answers with the bytes that are there at the release', async () => {
    const { disk, file } = storeWith(4);
    disk.holdReads();
    const target = filled(9, 2);
    const read = readIntoAsync(file, target, 1);
    await settled();
    file.write(filled(2, 4), 0);
    expect([...target, disk.pendingCount]).toEqual([9, 9, 1]);
    expect(codeOf(() => file.close())).toBe('INTERNAL');
    disk.releaseReads();
    expect(await read).toBe(2);
    expect([...target, disk.pendingCount]).toEqual([2, 2, 0]);
    file.close();
  });
});

describe('what a slow disk does not hold back', () => {
  it('is blocking calls; held ones fail when they are released', async () => {
    const { disk, file } = storeWith(512);
    disk.holdSyncs();
    disk.holdWrites();
    file.write(filled(2, 512), 0);
    disk.faults.failAt(disk.operations + 1, 'EIO');
    const code = codeOfAsync(() => file.syncAsync());
    await settled();
    expect(valuesAfterCrash(disk)).toEqual(['1', '2']);
    disk.releaseSyncs();
    expect(await code).toBe('EIO');
    file.sync();
    expect(valuesAfterCrash(disk)).toEqual(['1', '2']);
    file.write(filled(2, 512), 0);
    file.sync();
    expect(valuesAfterCrash(disk)).toEqual(['2']);
  });

  it('is the index of a held sync, which the observer sees when it takes effect', async () => {
    const { disk, file } = storeWith(4);
    const seen: string[] = [];
    disk.onOperation = ({ index, kind }) => seen.push(`${index} ${kind}`);
    disk.holdSyncs();
    const sync = file.syncAsync();
    file.write(filled(2, 4), 0);
    expect(seen).toEqual(['3 write']);
    disk.releaseSyncs();
    expect(seen).toEqual(['3 write', '2 sync']);
    await sync;
  });
});

/** A disk with one durable file, `/a`, of ones. */
function storeWith(size: number): { disk: SimulatedFileSystem; file: File } {
  const disk = new SimulatedFileSystem();
  disk.writeFile('/a', filled(1, size));
  return { disk, file: disk.open('/a', 'write') };
}

function failNext(disk: SimulatedFileSystem, action: () => void): void {
  disk.faults.failAt(disk.operations + 1, 'EIO');
  expect(codeOf(action)).toBe('EIO');
}

function durable(disk: SimulatedFileSystem): SimulatedFileSystem {
  return disk.crashClone(new SeededRandom(1), { keep: 'none', sector: 512, directory: 'ordered' });
}

/** The first bytes of the sectors of `/a` in all the states that a power cut may leave. */
function valuesAfterCrash(disk: SimulatedFileSystem): string[] {
  const choice = { keep: 'random', sector: 512, directory: 'any' } as const;
  const states = Array.from({ length: 100 }, (_, seed) => {
    const content = disk.crashClone(new SeededRandom(seed), choice).readFile('/a');
    return content.filter((_byte, offset) => offset % 512 === 0).join();
  });
  return [...new Set(states)].toSorted();
}

function firstValuesAfterCrash(disk: SimulatedFileSystem): string[] {
  const firsts = valuesAfterCrash(disk).map((values) => values.slice(0, 1));
  return [...new Set(firsts)];
}

async function settled(): Promise<void> {
  await new Promise((resolve) => {
    setImmediate(resolve);
  });
}

function filled(value: number, size: number): Uint8Array {
  return new Uint8Array(size).fill(value);
}
