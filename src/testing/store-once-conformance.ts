/** What a store promises of commits that are made more than once. */
import type { VarveError } from '../base/errors.ts';
import type { CommitPart, NewEvent, StoreClient } from '../store/contract.ts';
import { codeOfAsync } from './code-of.ts';
import type { TestFunctions } from './file-system-conformance.ts';
import type { StoreUnderTest } from './store-client-conformance.ts';

type MakeClient = () => Promise<StoreUnderTest<StoreClient>>;

const happened: NewEvent = { type: 'Happened', data: { n: 1 } };

export function repeatsConform({ describe, it, expect }: TestFunctions, make: MakeClient): void {
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

    it('of a commit over streams are answered with all of the first result', async () => {
      const { store, reopen } = await make();
      await store.append('a', [happened]);
      const parts: CommitPart[] = [
        { stream: 'a', events: [happened, happened] },
        { stream: 'b', events: [happened] },
        { stream: 'a', events: [happened] },
      ];
      const first = await store.commit(parts, { idempotencyKey: 'k' });
      expect(first.streams).toEqual([
        { stream: 'a', firstRevision: 1, revision: 3 },
        { stream: 'b', firstRevision: 0, revision: 0 },
      ]);
      await store.append('b', [happened]);
      const again = { ...first, outcome: 'duplicate' };
      expect(await store.commit(parts, { idempotencyKey: 'k' })).toEqual(again);
      expect(await (await reopen()).commit(parts, { idempotencyKey: 'k' })).toEqual(again);
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

function eventOf(index: number): NewEvent {
  return { type: 'N', data: index };
}

export function scopesConform({ describe, it, expect }: TestFunctions, make: MakeClient): void {
  describe('idempotency scopes', () => {
    const scopes = [undefined, 'a', 'ab', '0f8fad5b-d9cb-469f-a165-70867728950e'] as const;
    const keys = ['c', 'bc', 'k', '0f8fad5b-d9cb-469f-a165-70867728950e'];
    const names: readonly { idempotencyKey: string; idempotencyScope?: string }[] = scopes.flatMap(
      (idempotencyScope) =>
        keys.map((idempotencyKey) =>
          idempotencyScope === undefined
            ? { idempotencyKey }
            : { idempotencyKey, idempotencyScope },
        ),
    );

    it('hold keys of their own, also in flight and after reopening', async () => {
      const { store, reopen } = await make();
      const append = (target: StoreClient): Promise<string[]> =>
        Promise.all(
          names.map(async (name, index) => {
            const answer = await target.append('s', [eventOf(index)], name);
            return `${answer.outcome} ${answer.firstPosition}`;
          }),
        );
      const [first, inFlight] = await Promise.all([append(store), append(store)]);
      expect(first).toEqual(names.map((_, index) => `appended ${index}`));
      const repeated = names.map((_, index) => `duplicate ${index}`);
      expect(inFlight).toEqual(repeated);
      expect(await append(store)).toEqual(repeated);
      const reopened = await reopen();
      expect(await append(reopened)).toEqual(repeated);
      expect(reopened.head).toBe(names.length);
    });

    it('stand beside the key in the first event of the commit', async () => {
      const { store, reopen } = await make();
      await store.append('a', [happened, happened], { idempotencyKey: 'k', idempotencyScope: 's' });
      await store.append('a', [happened], { idempotencyKey: 'k' });
      for (const open of [() => store, reopen]) {
        const target = await open();
        const events = await Promise.all([0, 1, 2].map((position) => target.get(position)));
        expect(events.map((event) => [event!.idempotencyKey, event!.idempotencyScope])).toEqual([
          ['k', 's'],
          [undefined, undefined],
          ['k', undefined],
        ]);
      }
    });

    it('are held to their content each by itself, and named in conflicts', async () => {
      const { store } = await make();
      await store.append('a', [eventOf(1)], { idempotencyKey: 'k', idempotencyScope: 's' });
      const conflict = store.append('a', [eventOf(2)], {
        idempotencyKey: 'k',
        idempotencyScope: 's',
      });
      const { code, message } = await errorOf(conflict);
      expect(code).toBe('IDEMPOTENCY_CONFLICT');
      expect(message.includes('idempotency key "k" of the scope "s"')).toBe(true);
      const elsewhere = { idempotencyKey: 'k', idempotencyScope: 't' };
      expect((await store.append('a', [eventOf(2)], elsewhere)).outcome).toBe('appended');
    });

    it('are compared where an id tells of the repeat, and not named to who does not know them', async () => {
      const { store } = await make();
      const event = { ...happened, id: 'x' };
      await store.append('a', [event], { idempotencyKey: 'k', idempotencyScope: 'secret' });
      const other = { idempotencyKey: 'k', idempotencyScope: 't' };
      const { code, message } = await errorOf(store.append('a', [event], other));
      expect(code).toBe('IDEMPOTENCY_CONFLICT');
      expect(message.includes('its idempotency scope is another one')).toBe(true);
      expect(message.includes('secret')).toBe(false);
      const bare = { idempotencyKey: 'k' };
      expect(await codeOfAsync(() => store.append('a', [event], bare))).toBe(
        'IDEMPOTENCY_CONFLICT',
      );
      expect(store.head).toBe(1);
    });
  });
}

export function findingCommitsConforms(
  { describe, it, expect }: TestFunctions,
  make: MakeClient,
): void {
  describe('finding a commit by its key', () => {
    it('gives what a repeat is answered, also after reopening', async () => {
      const { store, reopen } = await make();
      await store.append('a', [happened]);
      const parts = [
        { stream: 'a', events: [happened] },
        { stream: 'b', events: [happened, happened] },
        { stream: 'a', events: [happened] },
      ];
      const name = { idempotencyKey: 'k', idempotencyScope: 's' };
      const first = await store.commit(parts, name);
      await store.append('b', [happened]);
      const again = { ...first, outcome: 'duplicate' };
      expect(await store.findCommit(name)).toEqual(again);
      const reopened = await reopen();
      expect(await reopened.findCommit(name)).toEqual(again);
      expect(await reopened.commit(parts, name)).toEqual(again);
    });

    it('finds nothing under another key or scope, under none, or before it is used', async () => {
      const { store } = await make();
      const name = { idempotencyKey: 'k', idempotencyScope: 's' };
      expect(await store.findCommit(name)).toBe(undefined);
      await store.append('a', [{ ...happened, id: 'x' }], name);
      const others = [
        { idempotencyKey: 'k' },
        { idempotencyKey: 's', idempotencyScope: 'k' },
        { idempotencyKey: 'x' },
        { idempotencyKey: 'k', idempotencyScope: 't' },
        { idempotencyKey: 'l', idempotencyScope: 's' },
      ];
      const found = await Promise.all(others.map((other) => store.findCommit(other)));
      expect(found).toEqual(others.map(() => undefined));
      const { firstPosition } = (await store.findCommit(name))!;
      expect(firstPosition).toBe(0);
    });

    it('finds what the same thread has just appended, and tells only of what is visible', async () => {
      const { store } = await make();
      const wrong: string[] = [];
      const ask = async (idempotencyKey: string): Promise<void> => {
        const found = await store.findCommit({ idempotencyKey });
        if (found === undefined || found.lastPosition >= store.head) {
          wrong.push(idempotencyKey);
        }
      };
      const calls = Array.from({ length: 100 }, (_, index) => {
        const idempotencyKey = `k${index}`;
        const appending = store.append(`s/${index % 3}`, [eventOf(index)], { idempotencyKey });
        return Promise.all([appending, ask(idempotencyKey)]);
      });
      await Promise.all(calls);
      expect(wrong).toEqual([]);
    });
  });
}

function withId(id: string): NewEvent {
  return { ...happened, id };
}

function partsOf(...ids: readonly string[]): CommitPart[] {
  return ids.map((id, index) => ({ stream: `s/${index % 2}`, events: [withId(id)] }));
}

/** Makes `a` and `b` one commit, at 0 and 1, and `c` another, at 2. */
async function prepare(store: StoreClient): Promise<void> {
  await store.commit(partsOf('a', 'b'), { idempotencyKey: 'k' });
  await store.commit(partsOf('c'));
}

export function mixedIdsConform({ describe, it, expect }: TestFunctions, make: MakeClient): void {
  describe('a commit that mixes ids of earlier events with others', () => {
    /** What is said of a commit with these ids. */
    const conflictOf = async (
      store: StoreClient,
      ids: readonly string[],
      name = {},
    ): Promise<object> => {
      const { code, applied, details, message } = await errorOf(
        store.commit(partsOf(...ids), name),
      );
      const { repeatedIds, newIds, firstPosition } = details;
      const repeated = (repeatedIds as { id: string; position: number }[]).map(
        ({ id, position }) => `${id}@${position}`,
      );
      expect([code, applied]).toEqual(['IDEMPOTENCY_CONFLICT', 'no']);
      // Each is named, whether the commit was found by it or by another.
      expect(ids.every((id) => name !== noName || message.includes(`"${id}"`))).toBe(true);
      return { repeated: repeated.join(' '), added: (newIds as string[]).join(' '), firstPosition };
    };
    const noName = {};

    it('is a conflict that lists both, in whichever order they stand', async () => {
      const { store, reopen } = await make();
      await prepare(store);
      for (const open of [() => store, reopen]) {
        const target = await open();
        expect(await conflictOf(target, ['a', 'x'], noName)).toEqual({
          repeated: 'a@0',
          added: 'x',
          firstPosition: 0,
        });
        expect(await conflictOf(target, ['x', 'c', 'y'], noName)).toEqual({
          repeated: 'c@2',
          added: 'x y',
          firstPosition: 2,
        });
        expect(await conflictOf(target, ['x', 'b', 'a'], noName)).toEqual({
          repeated: 'b@1 a@0',
          added: 'x',
          firstPosition: 0,
        });
        expect(target.head).toBe(3);
      }
    });

    it('is one, too, if the ids are of two commits, whatever its key', async () => {
      const { store } = await make();
      await prepare(store);
      const both = { repeated: 'c@2 a@0', added: '', firstPosition: 2 };
      expect(await conflictOf(store, ['c', 'a'], noName)).toEqual(both);
      expect(await conflictOf(store, ['c', 'a'], { idempotencyKey: 'new' })).toEqual(both);
      const more = { repeated: 'a@0 b@1 c@2', added: 'x', firstPosition: 0 };
      expect(await conflictOf(store, ['a', 'b', 'c', 'x'], { idempotencyKey: 'k' })).toEqual(more);
      expect(await conflictOf(store, ['c', 'x'], { idempotencyKey: 'k' })).toEqual({
        repeated: 'c@2',
        added: 'x',
        firstPosition: 0,
      });
      expect(store.head).toBe(3);
    });

    it('is told of the same ids under another key or in another order, and is not of those as they were', async () => {
      const { store } = await make();
      await prepare(store);
      const all = { repeated: 'a@0 b@1', added: '', firstPosition: 0 };
      expect(await conflictOf(store, ['a', 'b'], { idempotencyKey: 'new' })).toEqual(all);
      expect(await conflictOf(store, ['b', 'a'], { idempotencyKey: 'k' })).toEqual({
        ...all,
        repeated: 'b@1 a@0',
      });
      const { outcome } = await store.commit(partsOf('a', 'b'), { idempotencyKey: 'k' });
      expect(outcome).toBe('duplicate');
      expect(store.head).toBe(3);
    });

    it('is found out while the others are in flight, and told when those are durable', async () => {
      const { store } = await make();
      const calls = [
        prepare(store),
        conflictOf(store, ['x', 'b'], noName),
        store.commit(partsOf('a', 'b'), { idempotencyKey: 'k' }),
      ] as const;
      const [, conflict, repeat] = await Promise.all(calls);
      expect(conflict).toEqual({ repeated: 'b@1', added: 'x', firstPosition: 0 });
      expect(repeat.outcome).toBe('duplicate');
      expect(store.head).toBe(3);
    });

    it('does not count events without an id of their own', async () => {
      const { store } = await make();
      await store.append('s', [withId('a'), happened, withId('b')]);
      const { outcome } = await store.append('s', [withId('a'), happened, withId('b')]);
      expect(outcome).toBe('duplicate');
      const { details } = await errorOf(store.append('s', [withId('a'), happened]));
      expect(details['newIds']).toEqual([]);
      expect(details['repeatedIds']).toEqual([{ id: 'a', position: 0 }]);
      const { details: ofKey } = await errorOf(
        store.append('s', [happened, withId('b'), happened]),
      );
      expect([ofKey['firstPosition'], ofKey['lastPosition']]).toEqual([0, 2]);
    });
  });
}

async function errorOf(work: Promise<unknown>): Promise<VarveError> {
  try {
    await work;
  } catch (error) {
    return error as VarveError;
  }
  throw new Error('Nothing was refused.');
}
