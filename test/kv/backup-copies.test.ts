/** Backups of key-value stores to where no hard link leads: another file system, or one that has none. */
import { type KvStore, openKv } from 'varve/kv';
import { type FaultKind, FaultPlan, SeededRandom, SimulatedFileSystem } from 'varve/testing';
import { describe, expect, it } from 'vitest';
import { codeOf } from './simulated-store.ts';

const lossy = { keep: 'none', sector: 512, directory: 'ordered' } as const;
const options = { tableBytes: 1_024, blockBytes: 256, memtableBytes: 4_096 };

/** The same disk, where links fail with a code, if `isFailing` says so of their target. */
function withoutLinks(
  disk: SimulatedFileSystem,
  code: string,
  isFailing: (target: string) => boolean = () => true,
): SimulatedFileSystem {
  return new Proxy(disk, {
    get: (target, name) => {
      if (name === 'link') {
        return (from: string, to: string): void => {
          if (isFailing(to)) {
            throw Object.assign(new Error(`${code}: link '${from}' -> '${to}'`), { code });
          }
          disk.link(from, to);
        };
      }
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

function openOn(fileSystem: SimulatedFileSystem, folder: string, given = {}): Promise<KvStore> {
  return openKv(folder, given, { fileSystem, random: new SeededRandom(1) });
}

/** Tables small and large, and one whose copy takes several pieces. */
async function fill(kv: KvStore): Promise<void> {
  await kv.put('large', new Uint8Array(2_500_000).fill(7));
  for (let index = 0; index < 60; index += 1) {
    await kv.put(`key ${index}`, `value ${index}`.repeat(5));
  }
  await kv.flush();
}

function contentOf(kv: KvStore): string[] {
  return [...kv.iterateSync()].map(
    ([key, value]) => `${Buffer.from(key).toString()}=${Buffer.from(value).toString('latin1')}`,
  );
}

/** Opens the copy and says what is in it, or `undefined` if it is no store. */
async function contentOfCopy(fileSystem: SimulatedFileSystem): Promise<string[] | undefined> {
  if (fileSystem.stat('/copy/manifest') === undefined) {
    return undefined;
  }
  const copy = await openOn(fileSystem, '/copy', options);
  expect(copy.recovery).toMatchObject({ isNew: false, wasClosed: true, orphans: [], replayed: 0 });
  expect(await copy.verify()).toMatchObject({ ok: true });
  const content = contentOf(copy);
  await copy.close();
  return content;
}

describe('a backup to where no links lead', () => {
  it.each(['EXDEV', 'EPERM', 'ENOTSUP', 'EMLINK'])(
    'is a copy that damage to the store does not reach, and that a power cut leaves (%s)',
    async (code) => {
      const disk = new SimulatedFileSystem();
      const fileSystem = withoutLinks(disk, code);
      const kv = await openOn(fileSystem, '/kv', options);
      await fill(kv);
      const content = contentOf(kv);
      await kv.backup('/copy');
      const cut = disk.crashClone(new SeededRandom(1), lossy);
      for (const { number } of kv.tables()) {
        const name = `${String(number).padStart(20, '0')}.tbl`;
        cut.flipBit(`/kv/tables/${name}`, 100, 1);
        expect(disk.list('/copy/tables').map((entry) => entry.name)).toContain(name);
      }
      expect(await contentOfCopy(cut)).toEqual(content);
      await kv.close();
    },
  );

  it('links what it can, and copies the rest', async () => {
    const disk = new SimulatedFileSystem();
    let failing = 0;
    const fileSystem = withoutLinks(disk, 'EMLINK', () => (failing += 1) % 2 === 0);
    const kv = await openOn(fileSystem, '/kv', options);
    await fill(kv);
    await kv.put('again', '1');
    await kv.flush();
    const content = contentOf(kv);
    await kv.backup('/copy');
    expect(failing).toBeGreaterThan(1);
    expect(await contentOfCopy(disk.crashClone(new SeededRandom(1), lossy))).toEqual(content);
    await kv.close();
  });

  it('is whole or no store, wherever a power cut stops it', async () => {
    const clones: SimulatedFileSystem[] = [];
    let isWatched = false;
    const disk: SimulatedFileSystem = new SimulatedFileSystem({
      onBeforeOperation: () => {
        if (isWatched) {
          clones.push(disk.crashClone(new SeededRandom(clones.length), lossy));
        }
      },
    });
    const kv = await openOn(withoutLinks(disk, 'EXDEV'), '/kv', options);
    await fill(kv);
    const content = contentOf(kv);
    isWatched = true;
    await kv.backup('/copy');
    isWatched = false;
    let wholeCount = 0;
    for (const clone of clones) {
      const found = await contentOfCopy(clone);
      wholeCount += found === undefined ? 0 : 1;
      expect(found ?? content).toEqual(content);
      if (found === undefined && clone.stat('/copy') !== undefined) {
        // Nobody takes half of it for a store, nor makes an empty one of it.
        const code = await codeOf(openOn(clone, '/copy', { create: false }));
        expect(['CORRUPT', 'NOT_A_STORE']).toContain(code);
      }
    }
    expect(clones.length).toBeGreaterThan(20);
    expect(wholeCount).toBeLessThan(clones.length);
    await kv.close();
  });

  it.each<[FaultKind, string]>([
    ['EIO', 'read'],
    ['EIO', 'create'],
    ['ENOSPC', 'write'],
    ['short', 'write'],
    ['EIO', 'sync'],
  ])(
    'fails when %s strikes a %s of it, leaves no store, and the store goes on',
    async (fault, kind) => {
      let isArmed = false;
      const faults = new FaultPlan({
        when: (operation) => {
          const isOfCopy = operation.path.startsWith('/copy/tables/') || operation.kind === 'read';
          return isArmed && isOfCopy && operation.kind === kind ? fault : undefined;
        },
      });
      const disk = new SimulatedFileSystem({ faults });
      const kv = await openOn(withoutLinks(disk, 'EXDEV'), '/kv', options);
      await fill(kv);
      const content = contentOf(kv);
      isArmed = true;
      expect(await codeOf(kv.backup('/copy'))).toBe('UNAVAILABLE');
      isArmed = false;
      expect(await contentOfCopy(disk)).toBeUndefined();
      expect(contentOf(kv)).toEqual(content);
      await kv.backup('/second');
      expect(disk.list('/second/tables')).toHaveLength(kv.tables().length);
      await kv.close();
    },
  );
});
