/** What reads of a `KvStore` must do. */
import type { KvStore } from '../kv/store/contract.ts';
import { codeOf, codeOfAsync } from './code-of.ts';
import type { TestFunctions } from './file-system-conformance.ts';
import { keysOf, type KvTest, text } from './kv-test.ts';

export function kvReadConformance(test: TestFunctions, run: KvTest): void {
  copiesConform(test, run);
  iteratorsConform(test, run);
  snapshotsConform(test, run);
  pathsConform(test, run);
}

async function fill(kv: KvStore): Promise<void> {
  await kv.batch(['a', 'b', 'b/1', 'b/2', 'c'].map((key) => ({ type: 'put', key, value: key })));
}

function copiesConform({ describe, it, expect }: TestFunctions, run: KvTest): void {
  describe('what is read', () => {
    it(
      'is the caller’s to change, in memory or in tables',
      run(async ({ kv }) => {
        await kv.put('a', 'value');
        for (let round = 0; round < 2; round += 1) {
          await spoil(kv);
          expect(text(kv.getSync('a', { borrow: true }))).toBe('value');
          expect(keysOf(kv)).toEqual(['a']);
          await kv.flush();
        }
      }),
    );

    it(
      'of several keys comes in their order',
      run(async ({ kv }) => {
        await fill(kv);
        const values = await kv.getMany(['c', 'nothing', 'a', 'c']);
        expect(values.map(text)).toEqual(['c', undefined, 'a', 'c']);
        expect([await kv.has('a'), await kv.has('nothing')]).toEqual([true, false]);
      }),
    );
  });
}

/** Overwrites everything that reads give. */
async function spoil(kv: KvStore): Promise<void> {
  kv.getSync('a')!.fill(0);
  const entry = kv.getEntrySync('a')!;
  entry.key.fill(0);
  entry.value.fill(0);
  for (const reverse of [false, true]) {
    for (const [key, value] of kv.iterateSync({ reverse })) {
      key.fill(0);
      value.fill(0);
    }
  }
  kv.longestPrefix('ab')!.value.fill(0);
  for (const line of kv.list('')) {
    (line.type === 'key' ? line.value : line.prefix).fill(0);
  }
  (await kv.getMany(['a', 'b'], { borrow: true }))[0]!.fill(0);
}

function iteratorsConform({ describe, it, expect }: TestFunctions, run: KvTest): void {
  describe('an iterator', () => {
    it(
      'gives what its bounds, direction and limit say',
      run(async ({ kv }) => {
        await fill(kv);
        expect(keysOf(kv, { gt: 'a', lte: 'b/1' })).toEqual(['b', 'b/1']);
        expect(keysOf(kv, { gte: 'b', lt: 'c', reverse: true })).toEqual(['b/2', 'b/1', 'b']);
        expect(keysOf(kv, { prefix: 'b/', gt: 'b/1' })).toEqual(['b/2']);
        expect(keysOf(kv, { limit: 2 })).toEqual(['a', 'b']);
        expect(keysOf(kv, { limit: 0 })).toEqual([]);
        expect(keysOf(kv, { limit: -1, reverse: true })).toEqual(['c', 'b/2', 'b/1', 'b', 'a']);
        expect(keysOf(kv, { gt: 'c', lt: 'a' })).toEqual([]);
      }),
    );

    it(
      'sees the store as it was when it was made',
      run(async ({ kv }) => {
        await fill(kv);
        const iterator = kv.iterate({ keysOnly: true });
        const found = [text((await iterator.next()).value as Uint8Array)];
        await kv.deleteRange({ gte: '' });
        await kv.flush();
        await kv.compact();
        for await (const key of iterator) {
          found.push(text(key));
        }
        expect(found).toEqual(['a', 'b', 'b/1', 'b/2', 'c']);
      }),
    );

    it(
      'goes back and on with seek, as long as it is open',
      run(async ({ kv }) => {
        await fill(kv);
        const iterator = kv.iterateSync({ gte: 'b', keepOpen: true, keysOnly: true });
        const next = (): string | undefined =>
          text(iterator.next().value as Uint8Array | undefined);
        expect([next(), next(), next(), next(), next()]).toEqual([
          'b',
          'b/1',
          'b/2',
          'c',
          undefined,
        ]);
        iterator.seek('b/11');
        expect(next()).toBe('b/2');
        iterator.seek('a');
        expect(next()).toBe(undefined);
        iterator.seek('b');
        expect(next()).toBe('b');
        iterator.close();
        iterator.seek('b');
        expect(next()).toBe(undefined);
        const backwards = kv.iterateSync({ reverse: true, keysOnly: true, limit: 3 });
        backwards.seek('b/1');
        expect([...backwards].map(text)).toEqual(['b/1', 'b', 'a']);
      }),
    );

    it(
      'answers calls of next in their order, even those that did not wait',
      run(async ({ kv }) => {
        const keys = Array.from({ length: 2_500 }, (_, n) => String(n).padStart(5, '0'));
        await kv.batch(keys.map((key) => ({ type: 'put', key, value: '' })));
        const iterator = kv.iterate({ keysOnly: true });
        const items = await Promise.all(
          Array.from({ length: keys.length + 1 }, () => iterator.next()),
        );
        const found = items.map(({ value }) => text(value as Uint8Array | undefined));
        expect(found).toEqual([...keys, undefined]);
      }),
    );
  });
}

function snapshotsConform({ describe, it, expect }: TestFunctions, run: KvTest): void {
  describe('a snapshot', () => {
    it(
      'is what reads see, until it is closed',
      run(async ({ kv }) => {
        await kv.put('a', '1');
        const snapshot = kv.snapshot();
        expect(snapshot.version).toBe(1);
        await kv.put('a', '2');
        await kv.put('b', '2');
        await kv.flush();
        await kv.deleteRange({ gte: '' });
        await kv.compact();
        expect(text(await kv.get('a', { snapshot }))).toBe('1');
        expect((await kv.getEntry('a', { snapshot }))?.version).toBe(1);
        expect(await kv.has('b', { snapshot })).toBe(false);
        expect(keysOf(kv, { snapshot })).toEqual(['a']);
        expect([...kv.list('', { snapshot })].length).toBe(1);
        expect(kv.longestPrefix('ab', { snapshot })?.version).toBe(1);
        expect((await kv.getMany(['a', 'b'], { snapshot })).map(text)).toEqual(['1', undefined]);
        expect(kv.stats().snapshots).toBe(1);
        snapshot.close();
        snapshot.close();
        expect(kv.stats().snapshots).toBe(0);
        expect(await codeOfAsync(() => kv.get('a', { snapshot }))).toBe('INVALID_ARGUMENT');
        expect(codeOf(() => kv.iterateSync({ snapshot }))).toBe('INVALID_ARGUMENT');
      }),
    );
  });
}

function pathsConform({ describe, it, expect }: TestFunctions, run: KvTest): void {
  describe('a key read as a path', () => {
    it(
      'is listed with what lies behind the delimiter rolled up, in pages',
      run(async ({ kv }) => {
        const keys = ['p/1', 'p/a/1', 'p/a/2', 'p/a/b/c', 'p/b', 'p/c/1', 'q'];
        await kv.batch(keys.map((key) => ({ type: 'put', key, value: key })));
        const page = (after?: string): (string | undefined)[] =>
          [...kv.list('p/', { delimiter: '/', limit: 2, ...(after && { after }) })].map((line) =>
            text(line.type === 'key' ? line.key : line.prefix),
          );
        expect(page()).toEqual(['p/1', 'p/a/']);
        expect(page('p/a/')).toEqual(['p/b', 'p/c/']);
        expect(page('p/c/')).toEqual([]);
        expect(page('a')).toEqual(['p/1', 'p/a/']);
        expect([...kv.list('p/a/')].length).toBe(3);
        expect(codeOf(() => kv.list('', { delimiter: '' }))).toBe('INVALID_ARGUMENT');
      }),
    );

    it(
      'is found by the longest key that it begins with',
      run(async ({ kv }) => {
        await kv.batch(
          ['', 'a', 'a/b', 'a/b0', 'a/b/c/d'].map((key) => ({ type: 'put', key, value: key })),
        );
        const found = (path: string): string | undefined => text(kv.longestPrefix(path)?.key);
        expect(found('a/b/c')).toBe('a/b');
        expect(found('a/b/c/d/e')).toBe('a/b/c/d');
        expect(found('a0')).toBe('a');
        expect(found('zzz')).toBe('');
        await kv.delete('');
        expect(found('zzz')).toBe(undefined);
      }),
    );

    it(
      'is counted up to a limit',
      run(async ({ kv }) => {
        await kv.batch(['a', 'a/1', 'a/2', 'b'].map((key) => ({ type: 'put', key, value: '' })));
        expect(await kv.count('a/')).toEqual({ count: 2, isExact: true });
        expect(await kv.count('a', 2)).toEqual({ count: 2, isExact: false });
        expect(await kv.count('', 0)).toEqual({ count: 0, isExact: false });
        expect(await kv.count('c', 0)).toEqual({ count: 0, isExact: true });
      }),
    );
  });
}
