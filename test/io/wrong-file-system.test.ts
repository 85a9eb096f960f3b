/** What a caller's file system answers is checked where it enters. */
import { open, type StoreComponents, VarveError } from 'varve';
import { SimulatedFileSystem } from 'varve/testing';
import { describe, expect, it } from 'vitest';

type FileSystem = Exclude<NonNullable<StoreComponents['fileSystem']>, { module: URL }>;
type File = ReturnType<FileSystem['open']>;

async function failureOf(work: () => unknown): Promise<VarveError> {
  try {
    await work();
  } catch (error) {
    if (error instanceof VarveError) {
      return error;
    }
    throw error;
  }
  throw new Error('it was taken');
}

/** A simulated file system with some answers changed. */
function changed(
  fileSystem: SimulatedFileSystem,
  file: Partial<Record<keyof File, (real: () => unknown, path: string) => unknown>>,
): FileSystem {
  const changeFile = (real: File): File =>
    new Proxy(real, {
      get: (target, name) => {
        const part = Reflect.get(target, name) as unknown;
        const change = file[name as keyof File];
        if (typeof part !== 'function') {
          return part;
        }
        const call = part.bind(target) as (...args: unknown[]) => unknown;
        return change === undefined
          ? call
          : (...args: unknown[]) => change(() => call(...args), real.path);
      },
    });
  return new Proxy(fileSystem, {
    get: (target, name) => {
      const part = Reflect.get(target, name) as unknown;
      if (name === 'open') {
        return (...args: Parameters<FileSystem['open']>) => changeFile(target.open(...args));
      }
      return typeof part === 'function' ? (part.bind(target) as unknown) : part;
    },
  });
}

describe('a file system that gives wrong answers', () => {
  const wrongCounts = [Number.NaN, -1, 1.5, 1e9, undefined, '5', null];

  it.each(wrongCounts.map((count) => [String(count), count]))(
    'of %s bytes written ends writing, and nothing is acknowledged that is not there',
    async (_name, count) => {
      let isArmed = false;
      const disk = new SimulatedFileSystem();
      const write = (real: () => unknown, path: string): unknown =>
        isArmed && path.endsWith('.seg') ? count : real();
      const fileSystem = changed(disk, { write, writeAsync: async (...args) => write(...args) });
      const store = await open('/store', {}, { fileSystem });
      await store.append('a', [{ type: 'T', data: 1 }]);
      isArmed = true;
      const failure = await failureOf(() => store.append('a', [{ type: 'T', data: 2 }]));
      expect(['POISONED', 'UNAVAILABLE']).toContain(failure.code);
      expect(failure.applied).toBeDefined();
      isArmed = false;
      await store.close();
      const again = await open('/store', {}, { fileSystem: disk });
      expect((await again.verify()).ok).toBe(true);
      await again.close();
    },
  );

  it.each(wrongCounts.map((count) => [String(count), count]))(
    'of %s bytes read, or in a file, is named as such',
    async (_name, count) => {
      const disk = new SimulatedFileSystem();
      const store = await open('/store', {}, { fileSystem: disk });
      await store.append('a', [{ type: 'T' }]);
      await store.close();
      const before = disk.snapshotDigest();
      // Larger sizes are lies that only reading shows.
      const names = count === 1e9 ? (['read'] as const) : (['read', 'size'] as const);
      for (const name of names) {
        const fileSystem = changed(disk, { [name]: () => count });
        const { code, message } = await failureOf(() => open('/store', {}, { fileSystem }));
        expect([code, message.includes(`The file system's ${name} answered`)]).toEqual([
          'UNAVAILABLE',
          true,
        ]);
      }
      expect(disk.snapshotDigest()).toBe(before);
    },
  );

  it('is not taken for durable where its sync gives nothing to wait for, or its promise is thrown away', async () => {
    for (const file of [{ syncAsync: () => undefined }, { sync: async () => undefined }] as const) {
      const disk = new SimulatedFileSystem();
      const failure = await failureOf(async () => {
        const store = await open('/store', {}, { fileSystem: changed(disk, file) });
        try {
          await store.append('a', [{ type: 'T' }]);
        } finally {
          await store.close().catch(() => {});
        }
      });
      expect(['UNAVAILABLE', 'POISONED']).toContain(failure.code);
    }
  });

  it('to list and stat is named as such', async () => {
    const disk = new SimulatedFileSystem();
    const store = await open('/store', {}, { fileSystem: disk });
    await store.close();
    for (const [name, answer] of [
      ['list', undefined],
      ['list', 'store.json'],
      ['list', ['store.json']],
      ['list', [null]],
      ['stat', null],
      ['stat', { kind: 'file', size: Number.NaN }],
      ['lockDirectory', undefined],
    ] as const) {
      const fileSystem = new Proxy(disk, {
        get: (target, key) => {
          const part = Reflect.get(target, key) as unknown;
          if (key === name) {
            return () => answer;
          }
          return typeof part === 'function' ? (part.bind(target) as unknown) : part;
        },
      });
      const { code } = await failureOf(() => open('/store', {}, { fileSystem }));
      expect([name, code]).toEqual([name, 'UNAVAILABLE']);
    }
  });
});
