import type { CommitPart, NewEvent, StoreClient } from '../store/contract.ts';
import type { TestFunctions } from './file-system-conformance.ts';
import { codeOfAsync } from './code-of.ts';

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
  readingConforms(test, make);
  listingConforms(test, make);
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
        { stream: 'a', revision: 1 },
        { stream: 'b', revision: 1 },
      ]);
      const events = await all(store.read());
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

function repeatsConform({ describe, it, expect }: TestFunctions, make: MakeClient): void {
  describe('repeats', () => {
    it('with a key are answered with the first result, also after reopening', async () => {
      const { store, reopen } = await make();
      const options = { idempotencyKey: 'k', expectedRevision: 'none' } as const;
      const first = await store.append('a', [happened, happened], options);
      await store.append('a', [happened]);
      const again = await store.append('a', [happened, happened], options);
      expect(again).toEqual({ ...first, outcome: 'duplicate' });
      const reopened = await reopen();
      expect(await reopened.append('a', [happened, happened], options)).toEqual(again);
      expect(reopened.head).toBe(3);
    });

    it('of a commit still in flight wait for it', async () => {
      const { store } = await make();
      const append = async (): Promise<string> => {
        const { outcome } = await store.append('a', [happened], { idempotencyKey: 'k' });
        return outcome;
      };
      expect(await Promise.all([append(), append(), append()])).toEqual([
        'appended',
        'duplicate',
        'duplicate',
      ]);
      expect(store.head).toBe(1);
    });

    it('with a key and other content are a conflict', async () => {
      const { store } = await make();
      const options = { idempotencyKey: 'k' };
      await store.append('a', [{ type: 'T', data: { x: 1, y: 2 }, tags: ['t'] }], options);
      const same = { type: 'T', data: { y: 2, x: 1 }, tags: ['t'] };
      expect((await store.append('a', [same], options)).outcome).toBe('duplicate');
      const others: NewEvent[] = [
        { ...same, data: { x: 1, y: 3 } },
        { ...same, type: 'U' },
        { ...same, tags: ['u'] },
        { ...same, metadata: {} },
        { ...same, occurredAt: 0 },
        { ...same, correlationId: 'c' },
      ];
      for (const other of others) {
        const code = await codeOfAsync(() => store.append('a', [other], options));
        expect(code).toBe('IDEMPOTENCY_CONFLICT');
      }
      const elsewhere = codeOfAsync(() => store.append('b', [same], options));
      expect(await elsewhere).toBe('IDEMPOTENCY_CONFLICT');
      expect(store.head).toBe(1);
    });

    it('with an id are answered with the first result, or are a conflict', async () => {
      const { store, reopen } = await make();
      const first = await store.append('a', [{ ...happened, id: 'x' }]);
      const again = await store.append('a', [{ ...happened, id: 'x' }]);
      expect(again).toEqual({ ...first, outcome: 'duplicate' });
      const reopened = await reopen();
      const conflict = codeOfAsync(() => reopened.append('a', [{ type: 'Other', id: 'x' }]));
      expect(await conflict).toBe('IDEMPOTENCY_CONFLICT');
      const partly = codeOfAsync(() => reopened.append('a', [{ ...happened, id: 'x' }, happened]));
      expect(await partly).toBe('IDEMPOTENCY_CONFLICT');
      expect(reopened.head).toBe(1);
    });

    it('with an id that the store made are found out', async () => {
      const { store } = await make();
      await store.append('a', [happened]);
      const event = await store.get(0);
      const again = await store.append('a', [{ ...happened, id: event!.id }]);
      expect(again.outcome).toBe('duplicate');
    });
  });
}

/** Ten events, the even ones in one stream, the odd ones in another. */
async function filled(make: MakeClient): Promise<StoreClient> {
  const { store } = await make();
  for (let n = 0; n < 10; n += 1) {
    await store.append(n % 2 === 0 ? 'even' : 'odd', [{ type: 'N', data: n }]);
  }
  return store;
}

function readingConforms({ describe, it, expect }: TestFunctions, make: MakeClient): void {
  describe('reading', () => {
    it('goes forwards and backwards, from a position, up to a limit', async () => {
      const store = await filled(make);
      const numbers = async (...args: Parameters<StoreClient['read']>): Promise<unknown[]> =>
        (await all(store.read(...args))).map(({ data }) => data);
      expect(await numbers({}, { after: 6 })).toEqual([7, 8, 9]);
      expect(await numbers({}, { before: 2 })).toEqual([0, 1]);
      expect(await numbers({}, { limit: 2 })).toEqual([0, 1]);
      expect(await numbers({}, { direction: 'backwards', limit: 3 })).toEqual([9, 8, 7]);
      expect(await numbers({ stream: 'odd' })).toEqual([1, 3, 5, 7, 9]);
      expect(await numbers({ stream: 'odd' }, { direction: 'backwards', after: 3 })).toEqual([
        9, 7, 5,
      ]);
      expect(await numbers({ stream: 'even', revisions: { from: 3 } })).toEqual([6, 8]);
      expect(await numbers({ stream: 'even', revisions: { from: 1, to: 2 } })).toEqual([2, 4]);
      expect(await numbers({ stream: 'none' })).toEqual([]);
      expect(await numbers({}, { after: 100 })).toEqual([]);
      expect(await numbers({}, { limit: 0 })).toEqual([]);
    });

    it('says why it ended and where', async () => {
      const store = await filled(make);
      const limited = store.read({}, { limit: 4 });
      await all(limited);
      expect([limited.stopped, limited.lastPosition]).toEqual(['limit', 3]);
      const small = store.read({}, { maxBytes: 1 });
      expect((await all(small)).length).toBe(1);
      expect(small.stopped).toBe('bytes');
      const whole = store.read();
      await all(whole);
      expect([whole.stopped, whole.lastPosition]).toEqual(['end', 9]);
    });

    it('sees what was visible when it began', async () => {
      const store = await filled(make);
      const events = store.read();
      await events.next();
      await store.append('even', [happened]);
      expect((await all(events)).length).toBe(9);
    });

    it('finds events by position and by id', async () => {
      const { store } = await make();
      await store.append('a', [{ ...happened, id: 'mine' }, happened]);
      const made = await store.get(1);
      expect((await store.getById('mine'))!.position).toBe(0);
      expect((await store.getById(made!.id))!.position).toBe(1);
      expect(await store.get(2)).toBe(undefined);
      expect(await store.getById('other')).toBe(undefined);
    });

    it('ends with an error when its signal does', async () => {
      const store = await filled(make);
      const controller = new AbortController();
      const events = store.read({}, { signal: controller.signal });
      await events.next();
      controller.abort();
      expect(await codeOfAsync(() => events.next())).toBe('ABORTED');
    });
  });
}

function listingConforms({ describe, it, expect }: TestFunctions, make: MakeClient): void {
  describe('streams', () => {
    it('are listed in order, with prefix, delimiter, after and limit', async () => {
      const { store } = await make();
      for (const stream of ['b/1', 'a/2', 'a/10', 'a/1', 'c', 'a/1/x']) {
        await store.append(stream, [happened]);
      }
      const names = async (...args: Parameters<StoreClient['streams']>): Promise<string[]> =>
        (await all(store.streams(...args))).map((entry) =>
          entry.kind === 'prefix' ? entry.prefix : entry.stream,
        );
      expect(await names()).toEqual(['a/1', 'a/1/x', 'a/10', 'a/2', 'b/1', 'c']);
      expect(await names({ delimiter: '/' })).toEqual(['a/', 'b/', 'c']);
      expect(await names({ prefix: 'a/', delimiter: '/' })).toEqual(['a/1', 'a/1/', 'a/10', 'a/2']);
      expect(await names({ delimiter: '/', after: 'a/' })).toEqual(['b/', 'c']);
      expect(await names({ after: 'a/10', limit: 2 })).toEqual(['a/2', 'b/1']);
      expect(await names({ prefix: 'x' })).toEqual([]);
    });

    it('have heads', async () => {
      const { store } = await make();
      await store.append('a', [happened, happened]);
      const head = await store.streamHead('a');
      expect([head!.revision, head!.position, head!.leaf.length]).toEqual([1, 1, 32]);
      expect(await store.streamHead('b')).toBe(undefined);
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

async function all<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const found: Item[] = [];
  for await (const item of items) {
    found.push(item);
  }
  return found;
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
