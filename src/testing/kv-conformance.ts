import type { KvStore } from '../kv/store/contract.ts';
import { codeOfAsync } from './code-of.ts';
import type { TestFunctions } from './file-system-conformance.ts';
import { kvReadConformance } from './kv-read-conformance.ts';
import { bytes, keysOf, type KvTest, text } from './kv-test.ts';

/** What one test works on: an open, empty store of bytes. */
export interface KvUnderTest {
  readonly kv: KvStore;
  /** Closes the store and opens the same one again. */
  readonly reopen: () => Promise<KvStore>;
  /** Closes whichever is open. Called at the end of each test. */
  readonly close: () => Promise<void>;
}

/** What a store need not have. */
export interface KvSupports {
  /** It keeps a log of its own. Otherwise its owner says with each write how far another log is covered. Default true. */
  readonly log?: boolean;
}

export interface KvConformance {
  readonly test: TestFunctions;
  /** Called once per test. */
  readonly open: () => Promise<KvUnderTest>;
  readonly supports?: KvSupports;
}

/** What every `KvStore` must do, wherever its bytes are and whoever writes them. */
export function kvConformance({ test, open, supports = {} }: KvConformance): void {
  const run: KvTest = (work) => async () => {
    const store = await open();
    try {
      await work(store);
    } finally {
      await store.close();
    }
  };
  writingConforms(test, run);
  conditionsConform(test, run);
  batchesConform(test, run);
  kvReadConformance(test, run);
  upkeepConforms(test, run);
  closingConforms(test, run);
  if (supports.log ?? true) {
    logConforms(test, run);
  } else {
    positionsConform(test, run);
  }
}

function writingConforms({ describe, it, expect }: TestFunctions, run: KvTest): void {
  describe('a write', () => {
    it(
      'resolves to its version, and is there then',
      run(async ({ kv }) => {
        expect(await kv.put('a', '1')).toBe(1);
        expect(await kv.put('b', '2')).toBe(2);
        expect(kv.lastVersion).toBe(2);
        expect(text(kv.getSync('b'))).toBe('2');
        expect(await kv.delete('nothing')).toBe(3);
        expect(await kv.deleteRange({ prefix: 'b' })).toBe(4);
        expect(await kv.deleteRange({ gte: 'b', lt: 'a' })).toBe(4);
        expect(await kv.batch([])).toBe(4);
        expect(keysOf(kv)).toEqual(['a']);
      }),
    );

    it(
      'takes effect in the order of the calls, however many are made at once',
      run(async ({ kv }) => {
        const puts = Array.from({ length: 300 }, (_, n) => kv.put(`k/${n % 7}`, String(n)));
        expect(await Promise.all(puts)).toEqual(Array.from({ length: 300 }, (_, n) => n + 1));
        expect(text(kv.getSync('k/5'))).toBe('299');
        expect(kv.getEntrySync('k/5')?.version).toBe(300);
      }),
    );

    it(
      'reads its bytes during the call',
      run(async ({ kv }) => {
        const key = Buffer.from('key');
        const value = Buffer.from('value');
        const put = kv.put(key, value);
        key.fill(0);
        value.fill(0);
        await put;
        expect(text(kv.getSync('key'))).toBe('value');
      }),
    );

    it(
      'takes strings and bytes of any kind, but no text that has no UTF-8',
      run(async ({ kv }) => {
        const pool = new Uint8Array([1, 2, 3, 4, 5]);
        await kv.put(pool.subarray(1, 3), pool.subarray(3));
        expect(kv.getSync(Buffer.from([2, 3]))).toEqual(new Uint8Array([4, 5]));
        expect(kv.getSync(Buffer.from([2, 3]))!.constructor).toBe(Uint8Array);
        await kv.put('ü', 'ö');
        expect(kv.getSync(Buffer.from('ü'))).toEqual(bytes('ö'));
        expect(await codeOfAsync(() => kv.put('\ud800', ''))).toBe('INVALID_ARGUMENT');
      }),
    );

    it(
      'takes empty keys and values, and keys up to 65,535 bytes',
      run(async ({ kv }) => {
        const longest = new Uint8Array(65_535).fill(0xff);
        await kv.put('', '');
        await kv.put(longest, 'last');
        expect(kv.getSync('')).toEqual(bytes(''));
        expect(text(kv.getSync(longest))).toBe('last');
        const tooLong = new Uint8Array(65_536);
        expect(await codeOfAsync(() => kv.put(tooLong, ''))).toBe('LIMIT_EXCEEDED');
        expect(await codeOfAsync(() => kv.get(tooLong))).toBe('LIMIT_EXCEEDED');
        await kv.deleteRange({ gt: '' });
        expect(kv.hasSync(longest)).toBe(false);
        expect(kv.hasSync('')).toBe(true);
        await kv.deleteRange({ gte: '' });
        expect(keysOf(kv)).toEqual([]);
      }),
    );
  });
}

function conditionsConform({ describe, it, expect }: TestFunctions, run: KvTest): void {
  describe('a condition', () => {
    it(
      'that does not hold changes nothing',
      run(async ({ kv }) => {
        const version = await kv.put('a', '1');
        const refused = [
          () => kv.put('a', '2', { ifAbsent: true }),
          () => kv.put('a', '2', { ifVersion: version + 1 }),
          () => kv.put('b', '2', { ifVersion: version }),
          () => kv.delete('a', { ifVersion: 0 }),
        ];
        for (const call of refused) {
          expect(await codeOfAsync(call)).toBe('CONDITION_FAILED');
        }
        expect([kv.getEntrySync('a')?.version, kv.lastVersion]).toEqual([version, version]);
      }),
    );

    it(
      'that holds lets the write pass',
      run(async ({ kv }) => {
        expect(await kv.put('a', '1', { ifAbsent: true })).toBe(1);
        expect(await kv.put('a', '2', { ifVersion: 1 })).toBe(2);
        expect(await kv.put('b', '1', { ifVersion: 0 })).toBe(3);
        expect(await kv.delete('b', { ifVersion: 3 })).toBe(4);
        expect(await kv.put('b', '2', { ifAbsent: true })).toBe(5);
      }),
    );

    it(
      'of a batch is looked at before its own operations',
      run(async ({ kv }) => {
        const put = { type: 'put', key: 'p/a', value: '' } as const;
        const guards = [
          { prefix: 'p/', empty: true },
          { key: 'p/a', absent: true },
        ] as const;
        await kv.batch([put], { guards });
        expect(
          await codeOfAsync(() => kv.batch([{ type: 'delete', key: 'p/a' }], { guards })),
        ).toBe('CONDITION_FAILED');
        expect(await codeOfAsync(() => kv.batch([], { guards }))).toBe('CONDITION_FAILED');
        expect(kv.hasSync('p/a')).toBe(true);
        const versions = [
          { key: 'p/a', version: 1 },
          { key: 'x', version: 0 },
        ];
        expect(await kv.batch([put], { guards: versions })).toBe(2);
      }),
    );
  });
}

function batchesConform({ describe, it, expect }: TestFunctions, run: KvTest): void {
  describe('a batch', () => {
    it(
      'lets the last operation on a key win',
      run(async ({ kv }) => {
        await kv.put('old', 'x');
        const version = await kv.batch([
          { type: 'put', key: 'a', value: '1' },
          { type: 'put', key: 'a', value: '2' },
          { type: 'deleteRange', gte: 'a' },
          { type: 'put', key: 'a', value: '3' },
        ]);
        expect(version).toBe(5);
        expect(kv.getEntrySync('a')).toEqual({ key: bytes('a'), value: bytes('3'), version: 5 });
        expect(kv.hasSync('old')).toBe(false);
      }),
    );

    it(
      'is refused as a whole: by an operation of no known kind, a misspelt name, a range without a bound',
      run(async ({ kv }) => {
        const wrong = [
          { type: 'merge', key: 'a' },
          { type: 'put', kye: 'a', value: '' },
          { type: 'deleteRange' },
        ];
        for (const operation of wrong) {
          const batch = [{ type: 'put', key: 'b', value: '' }, operation] as never;
          expect(await codeOfAsync(() => kv.batch(batch))).toBe('INVALID_ARGUMENT');
        }
        expect(await codeOfAsync(() => kv.put('a', '', { akc: 'durable' } as never))).toBe(
          'INVALID_ARGUMENT',
        );
        expect([keysOf(kv), kv.lastVersion]).toEqual([[], 0]);
      }),
    );

    it(
      'of a rename moves one key, or all that begin alike',
      run(async ({ kv }) => {
        await kv.batch(['a', 'a/1', 'a/2', 'b/1'].map((key) => ({ type: 'put', key, value: key })));
        expect(await kv.rename('a', 'z')).toBe(1);
        expect(await kv.rename('nothing', 'z')).toBe(0);
        expect(await kv.rename('z', 'z')).toBe(1);
        expect(await kv.rename('a/', 'a/', { prefix: true })).toBe(2);
        expect(await codeOfAsync(() => kv.rename('a/', 'b/', { prefix: true }))).toBe(
          'CONDITION_FAILED',
        );
        expect(await kv.rename('a/', 'b/', { prefix: true, overwrite: true })).toBe(2);
        expect(await kv.rename('b/', 'b/b/', { prefix: true })).toBe(2);
        const pairs = [...kv.iterateSync()].map(([key, value]) => `${text(key)}=${text(value)}`);
        expect(pairs).toEqual(['b/b/1=a/1', 'b/b/2=a/2', 'z=a']);
      }),
    );
  });
}

function upkeepConforms({ describe, it, expect }: TestFunctions, run: KvTest): void {
  describe('upkeep', () => {
    it(
      'changes nothing that is read',
      run(async ({ kv }) => {
        for (let round = 0; round < 3; round += 1) {
          await kv.batch(
            Array.from({ length: 50 }, (_, n) => ({
              type: 'put',
              key: `k/${n}`,
              value: `${round}`,
            })),
          );
          await kv.deleteRange({ gte: 'k/3', lt: 'k/4' });
          await kv.flush();
        }
        const before = [...kv.iterateSync()].map(([key, value]) => [text(key), text(value)]);
        await kv.compact();
        await kv.settled();
        expect([...kv.iterateSync()].map(([key, value]) => [text(key), text(value)])).toEqual(
          before,
        );
        expect(before.length).toBe(39);
        const report = await kv.verify();
        expect([report.ok, report.problems]).toEqual([true, []]);
      }),
    );

    it(
      'adds sorted entries at once, and refuses others as a whole',
      run(async ({ kv }) => {
        await kv.put('b', 'old');
        const version = await kv.ingest([
          ['a', '1'],
          ['b', '2'],
        ]);
        expect(kv.getEntrySync('b')).toEqual({ key: bytes('b'), value: bytes('2'), version });
        const unsorted = [
          ['d', ''],
          ['c', ''],
        ] as const;
        expect(await codeOfAsync(() => kv.ingest(unsorted))).toBe('INVALID_ARGUMENT');
        expect(keysOf(kv)).toEqual(['a', 'b']);
      }),
    );

    it(
      'knows about how much a range takes, wherever it is',
      run(async ({ kv }) => {
        const value = new Uint8Array(1_000);
        await kv.batch(
          Array.from({ length: 200 }, (_, n) => ({ type: 'put', key: `k/${100 + n}`, value })),
        );
        for (let round = 0; round < 2; round += 1) {
          const all = kv.sizeOf({});
          const half = kv.sizeOf({ gte: 'k/100', lt: 'k/200' });
          expect([all > 150_000, all < 300_000]).toEqual([true, true]);
          expect([half > 70_000, half < 150_000]).toEqual([true, true]);
          expect(kv.sizeOf({ gte: 'x' }) < 20_000).toBe(true);
          await kv.flush();
        }
      }),
    );
  });
}

function closingConforms({ describe, it, expect }: TestFunctions, run: KvTest): void {
  describe('closing', () => {
    it(
      'keeps what was written, versions included',
      run(async ({ kv, reopen }) => {
        expect(kv.recovery.isNew).toBe(true);
        await kv.put('a', '1');
        await kv.flush();
        await kv.put('b', '2');
        await kv.delete('a');
        const again = await reopen();
        expect([again.recovery.isNew, again.recovery.wasClosed]).toEqual([false, true]);
        expect(again.getEntrySync('b')).toEqual({ key: bytes('b'), value: bytes('2'), version: 2 });
        expect(again.hasSync('a')).toBe(false);
        expect(again.lastVersion).toBe(3);
        expect(await again.put('c', '3')).toBe(4);
      }),
    );

    it(
      'settles what was accepted, and ends everything else',
      run(async ({ kv, close }) => {
        await kv.put('a', '1');
        const iterator = kv.iterateSync();
        iterator.next();
        const puts = Array.from({ length: 20 }, (_, n) => kv.put(`k/${n}`, ''));
        const closed = kv.close();
        expect((await Promise.all(puts)).length).toBe(20);
        await closed;
        await kv.close();
        const calls = [
          () => kv.put('a', ''),
          () => kv.get('a'),
          () => kv.flush(),
          async () => kv.snapshot(),
          async () => iterator.next(),
        ];
        for (const call of calls) {
          expect(await codeOfAsync(call)).toBe('CLOSED');
        }
        await close();
      }),
    );
  });
}

function logConforms({ describe, it, expect }: TestFunctions, run: KvTest): void {
  describe('a store with a log', () => {
    it(
      'answers writes in order, whatever they wait for',
      run(async ({ kv }) => {
        const answers: number[] = [];
        const puts = Array.from({ length: 50 }, async (_, n) => {
          const version = await kv.put('k', String(n), {
            ack: n % 2 === 0 ? 'written' : 'durable',
          });
          answers.push(version);
          return version;
        });
        await Promise.all(puts);
        expect(answers.length).toBe(50);
        expect(text(kv.getSync('k'))).toBe('49');
      }),
    );

    it(
      'is not told the position of another log',
      run(async ({ kv }) => {
        expect(await codeOfAsync(() => kv.put('a', '', { position: 1 }))).toBe('INVALID_ARGUMENT');
        expect(kv.flushedPosition).toBe(0);
      }),
    );
  });
}

function positionsConform({ describe, it, expect }: TestFunctions, run: KvTest): void {
  describe('a store without a log', () => {
    it(
      'knows up to where its owner’s log is in tables',
      run(async ({ kv, reopen }) => {
        await kv.put('a', '', { position: 41 });
        await kv.put('b', '', { position: 42 });
        expect(kv.flushedPosition).toBe(0);
        await kv.flush();
        expect(kv.flushedPosition).toBe(42);
        await kv.batch([], { position: 43 });
        const again = await reopen();
        expect(again.flushedPosition).toBe(43);
        expect(keysOf(again)).toEqual(['a', 'b']);
      }),
    );
  });
}
