import type { CommitPart, NewEvent, StoreClient } from '../store/contract.ts';
import type { TestFunctions } from './file-system-conformance.ts';
import { codeOfAsync } from './code-of.ts';
import {
  findingCommitsConforms,
  mixedIdsConform,
  repeatsConform,
  scopesConform,
} from './store-once-conformance.ts';
import { all, readingConforms } from './store-read-conformance.ts';

/** What one test works on: an open, empty store, and a way to close it and open it again. */
export interface StoreUnderTest<Store extends StoreClient> {
  readonly store: Store;
  /** Closes the store if it is open and opens the same one again. */
  readonly reopen: () => Promise<Store>;
}

/**
 * What a store does for every thread that can reach it, the owner's included. `make` is called once per test.
 */
export function storeClientConformance(
  test: TestFunctions,
  make: () => Promise<StoreUnderTest<StoreClient>>,
): void {
  appendingConforms(test, make);
  expectationsConform(test, make);
  commitsConform(test, make);
  repeatsConform(test, make);
  scopesConform(test, make);
  mixedIdsConform(test, make);
  findingCommitsConforms(test, make);
  readingConforms(test, make);
  refusalsConform(test, make);
  endingConforms(test, make);
}

type MakeClient = () => Promise<StoreUnderTest<StoreClient>>;

const happened: NewEvent = { type: 'Happened', data: { n: 1 } };

function appendingConforms({ describe, it, expect }: TestFunctions, make: MakeClient): void {
  describe('appending', () => {
    it('gives positions and revisions without gaps from 0', async () => {
      const { store } = await make();
      const first = await store.append('a', [happened, happened]);
      const second = await store.append('b', [happened]);
      const third = await store.append('a', [happened]);
      expect([first.firstPosition, first.lastPosition, first.revision]).toEqual([0, 1, 1]);
      expect([second.firstPosition, second.lastPosition, second.revision]).toEqual([2, 2, 0]);
      expect([third.firstPosition, third.lastPosition, third.revision]).toEqual([3, 3, 2]);
      expect(store.head).toBe(4);
    });

    it('says which revisions were added, and with 0 that it made the stream', async () => {
      const { store } = await make();
      const first = await store.append('a', [happened, happened]);
      const written = await store.append('a', [happened, happened], { ack: 'written' });
      const parts = [{ stream: 'a', events: [happened, happened] }];
      const committed = await store.commit(parts, { ack: 'written' });
      expect([first.firstRevision, first.revision]).toEqual([0, 1]);
      expect([written.firstRevision, written.revision]).toEqual([2, 3]);
      expect(committed.streams).toEqual([{ stream: 'a', firstRevision: 4, revision: 5 }]);
    });

    it('gives back everything that was given, in the form it was given', async () => {
      const { store, reopen } = await make();
      const event: NewEvent = {
        type: 'Größe geändert',
        data: { text: '\u0000 😀', list: [1, null, true], nested: { a: {} } },
        metadata: { by: 'me' },
        tags: ['b', 'a', 'ü'],
        id: 'my-id',
        correlationId: 'c-1',
        causationId: 'c-0',
        occurredAt: -5,
      };
      await store.append('orders/é/1', [event, { type: 'Bytes', data: new Uint8Array([0, 255]) }]);
      await store.append('orders/é/1', [{ type: 'Empty' }, { type: 'Null', data: null }]);
      for (const open of [() => store, reopen]) {
        const [first, bytes, empty, nothing] = await all((await open()).read());
        expect(pick(first!, Object.keys(event))).toEqual(event);
        expect([...(bytes!.data as Uint8Array)]).toEqual([0, 255]);
        expect([empty!.data, nothing!.data, empty!.tags]).toEqual([undefined, null, []]);
      }
    });

    it('keeps the order of calls, however many are made at once', async () => {
      const { store } = await make();
      const appends = Array.from({ length: 300 }, (_, n) =>
        store.append(`s/${n % 7}`, [{ type: 'N', data: n }]),
      );
      const results = await Promise.all(appends);
      expect(results.map(({ firstPosition }) => firstPosition)).toEqual([...results.keys()]);
      expect((await all(store.read())).map(({ data }) => data)).toEqual([...results.keys()]);
    });

    it('reads the objects during the call', async () => {
      const { store } = await make();
      const data = { n: 1 };
      const bytes = new Uint8Array([1]);
      const appending = store.append('a', [
        { type: 'A', data },
        { type: 'B', data: bytes },
      ]);
      data.n = 2;
      bytes[0] = 2;
      await appending;
      const [first, second] = await all(store.read());
      expect(first!.data).toEqual({ n: 1 });
      expect([...(second!.data as Uint8Array)]).toEqual([1]);
    });

    it('gives times that never decrease and ids that never repeat', async () => {
      const { store } = await make();
      await store.append('a', [happened, happened]);
      await store.append('a', [happened]);
      const events = await all(store.read());
      const times = events.map(({ time }) => time);
      expect(times).toEqual(times.toSorted((left, right) => left - right));
      expect(new Set(events.map(({ id }) => id)).size).toBe(3);
    });
  });
}

function expectationsConform({ describe, it, expect }: TestFunctions, make: MakeClient): void {
  describe('expected revisions', () => {
    it('are held against the stream', async () => {
      const { store } = await make();
      const append = (
        expectedRevision: 'any' | 'none' | 'exists' | number,
      ): Promise<string | undefined> =>
        codeOfAsync(() => store.append('a', [happened], { expectedRevision }));
      expect(await append('exists')).toBe('REVISION_CONFLICT');
      expect(await append(0)).toBe('REVISION_CONFLICT');
      expect(await append('none')).toBe(undefined);
      expect(await append('none')).toBe('REVISION_CONFLICT');
      expect(await append(0)).toBe(undefined);
      expect(await append(0)).toBe('REVISION_CONFLICT');
      expect(await append('exists')).toBe(undefined);
      expect(await append('any')).toBe(undefined);
      expect(store.head).toBe(4);
    });

    it('say in a conflict what was expected and what is there', async () => {
      const { store } = await make();
      await store.append('a', [happened]);
      const error = await errorOf(store.append('a', [happened], { expectedRevision: 7 }));
      expect(pick(error, ['stream', 'expected', 'actual', 'kind', 'applied'])).toEqual({
        stream: 'a',
        expected: 7,
        actual: 0,
        kind: 'conflict',
        applied: 'no',
      });
    });

    it('let one of two win that are made at once', async () => {
      const { store } = await make();
      const race = (): Promise<string | undefined> =>
        codeOfAsync(() => store.append('a', [happened], { expectedRevision: 'none' }));
      const codes = await Promise.all([race(), race()]);
      expect(codes).toEqual([undefined, 'REVISION_CONFLICT']);
      expect(store.head).toBe(1);
    });
  });
}

function commitsConform({ describe, it, expect }: TestFunctions, make: MakeClient): void {
  describe('commits over several streams', () => {
    const parts: CommitPart[] = [
      { stream: 'a', events: [happened], expectedRevision: 'none' },
      { stream: 'b', events: [happened, happened] },
      { stream: 'a', events: [happened], expectedRevision: 0 },
    ];

    it('append in the order given and say each stream’s revision', async () => {
      const { store } = await make();
      const result = await store.commit(parts);
      expect(result.streams).toEqual([
        { stream: 'a', firstRevision: 0, revision: 1 },
        { stream: 'b', firstRevision: 0, revision: 1 },
      ]);
      const again = await store.commit([
        { stream: 'b', events: [happened] },
        { stream: 'c', events: [happened] },
        { stream: 'b', events: [happened] },
      ]);
      expect(again.streams).toEqual([
        { stream: 'b', firstRevision: 2, revision: 3 },
        { stream: 'c', firstRevision: 0, revision: 0 },
      ]);
      const events = await all(store.read({}, { before: 4 }));
      expect(events.map(({ stream }) => stream)).toEqual(['a', 'b', 'b', 'a']);
      expect(events.map(({ commit }) => [commit.index, commit.count])).toEqual([
        [0, 4],
        [1, 4],
        [2, 4],
        [3, 4],
      ]);
    });

    it('append nothing if one expectation fails', async () => {
      const { store } = await make();
      await store.append('b', [happened]);
      const failing: CommitPart = { stream: 'b', events: [happened], expectedRevision: 'none' };
      expect(await codeOfAsync(() => store.commit([...parts, failing]))).toBe('REVISION_CONFLICT');
      expect(store.head).toBe(1);
      expect(await store.streamHead('a')).toBe(undefined);
    });
  });
}

function refusalsConform({ describe, it, expect }: TestFunctions, make: MakeClient): void {
  describe('bad calls', () => {
    it('are refused with a code and change nothing', async () => {
      const { store } = await make();
      const wrong: readonly (readonly [string, readonly unknown[], object?])[] = [
        ['', [happened]],
        ['a//b', [happened]],
        ['a/../b', [happened]],
        ['/a', [happened]],
        ['$system', [happened]],
        ['a\u0007', [happened]],
        ['\ud800', [happened]],
        ['a', []],
        ['a', [{ data: 1 }]],
        ['a', [{ type: '' }]],
        ['a', [{ type: 'T', data: () => 1 }]],
        ['a', [{ type: 'T', data: 1n }]],
        ['a', [{ type: 'T', tags: ['x', 'x'] }]],
        ['a', [{ type: 'T', occurredAt: 1.5 }]],
        ['a', [{ type: 'T', metaData: {} }]],
        ['a', [happened], { expectedRevison: 0 }],
        ['a', [happened], { expectedRevision: -1 }],
        ['a', [happened], { idempotencyKey: '' }],
        ['a', [happened], { idempotencyScope: 's' }],
        ['a', [happened], { idempotencyKey: 'k', idempotencyScope: '' }],
        ['a', [happened], { idempotencyKey: 'k', idempotencyScope: 'a\u0000' }],
        ['a', [happened], { idempotencyKey: 'k', idempotencyScope: 7 }],
        ['a', [happened], { ack: 'soon' }],
        [
          'a',
          [
            { ...happened, id: 'x' },
            { ...happened, id: 'x' },
          ],
        ],
      ];
      for (const [stream, events, options] of wrong) {
        const call = codeOfAsync(() => store.append(stream, events as NewEvent[], options));
        expect(await call).toBe('INVALID_ARGUMENT');
      }
      expect(await codeOfAsync(() => store.commit([]))).toBe('INVALID_ARGUMENT');
      const long = codeOfAsync(() => store.append('x'.repeat(1_025), [happened]));
      expect(await long).toBe('LIMIT_EXCEEDED');
      const scoped = { idempotencyKey: 'k', idempotencyScope: 'x'.repeat(129) };
      expect(await codeOfAsync(() => store.append('a', [happened], scoped))).toBe('LIMIT_EXCEEDED');
      const many = Array.from({ length: 65_536 }, () => happened);
      expect(await codeOfAsync(() => store.append('a', many))).toBe('LIMIT_EXCEEDED');
      expect(store.head).toBe(0);
    });
  });
}

function endingConforms({ describe, it, expect }: TestFunctions, make: MakeClient): void {
  describe('the end', () => {
    it('waits for what is in flight', async () => {
      const { store, reopen } = await make();
      const appending = store.append('a', [happened]);
      await store.close();
      expect((await appending).firstPosition).toBe(0);
      expect((await reopen()).head).toBe(1);
    });

    it('refuses every later call', async () => {
      const { store } = await make();
      await store.close();
      await store.close();
      expect(await codeOfAsync(() => store.append('a', [happened]))).toBe('CLOSED');
      expect(await codeOfAsync(() => store.get(0))).toBe('CLOSED');
    });

    it('comes after flush and waitFor have told what is durable', async () => {
      const { store } = await make();
      const waiting = store.waitFor(1);
      const appending = store.append('a', [happened, happened]);
      await waiting;
      expect(store.head).toBe(2);
      await appending;
      await store.flush();
      expect(store.head).toBe(2);
    });
  });
}

function pick(from: object, names: readonly string[]): Record<string, unknown> {
  const fields = from as Record<string, unknown>;
  return Object.fromEntries(names.map((name) => [name, fields[name]]));
}

async function errorOf(work: Promise<unknown>): Promise<object> {
  try {
    await work;
  } catch (error) {
    return error as object;
  }
  return {};
}
