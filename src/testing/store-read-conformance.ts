import type { NewEvent, StoreClient } from '../store/contract.ts';
import { codeOfAsync } from './code-of.ts';
import type { TestFunctions } from './file-system-conformance.ts';

type MakeClient = () => Promise<{ readonly store: StoreClient }>;

const happened: NewEvent = { type: 'Happened', data: { n: 1 } };

/** What can be read from a store, and listed. `make` gives an open, empty store. */
export function readingConforms(test: TestFunctions, make: MakeClient): void {
  eventsConform(test, make);
  listingConforms(test, make);
}

/** Ten events, the even ones in one stream, the odd ones in another. */
async function filled(make: MakeClient): Promise<StoreClient> {
  const { store } = await make();
  for (let n = 0; n < 10; n += 1) {
    await store.append(n % 2 === 0 ? 'even' : 'odd', [{ type: 'N', data: n }]);
  }
  return store;
}

function eventsConform({ describe, it, expect }: TestFunctions, make: MakeClient): void {
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
      expect(await numbers({}, { after: -1, limit: 2 })).toEqual([0, 1]);
      expect(await numbers({ stream: 'odd' }, { after: -1, limit: 2 })).toEqual([1, 3]);
      expect(await numbers({}, { direction: 'backwards', after: -1, limit: 1 })).toEqual([9]);
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

    it('says as of which position it reads, whatever it reads', async () => {
      const { store } = await make();
      const empty = store.read({}, { after: -1 });
      expect([empty.asOf, (await all(empty)).length]).toEqual([-1, 0]);
      await store.waitFor(empty.asOf);
      await store.append('a', [happened, happened]);
      const events = store.read({ stream: 'b' }, { before: 1 });
      expect(events.asOf).toBe(1);
      await store.append('a', [happened]);
      await all(events);
      expect(events.asOf).toBe(1);
      const later = await all(store.read({}, { after: empty.asOf }));
      expect(later.length).toBe(3);
      expect((await all(store.read({}, { after: events.asOf }))).length).toBe(1);
    });

    it('refuses bounds below the first position', async () => {
      const store = await filled(make);
      const codes = [
        await codeOfAsync(async () => store.read({}, { after: -2 })),
        await codeOfAsync(async () => store.read({}, { before: -1 })),
        await codeOfAsync(() => store.waitFor(-2)),
        await codeOfAsync(() => store.get(-1)),
      ];
      expect(codes).toEqual(codes.map(() => 'INVALID_ARGUMENT'));
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

export async function all<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const found: Item[] = [];
  for await (const item of items) {
    found.push(item);
  }
  return found;
}
