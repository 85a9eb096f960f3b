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

async function errorOf(work: Promise<unknown>): Promise<VarveError> {
  try {
    await work;
  } catch (error) {
    return error as VarveError;
  }
  throw new Error('Nothing was refused.');
}
