/** A look at derived data must not disturb those who decide by it: what they have in hand is theirs alone. */
import { SimulatedFileSystem } from 'varve/testing';
import { expect, it } from 'vitest';
import { checkRepeats, History, openTiny } from './derived-history.ts';

it('a repeat is known as one while derived data is verified, and after it', async () => {
  const history = new History({ seed: 400, mark: 'v' }, new SimulatedFileSystem());
  await history.grow(40);
  const store = await openTiny(history.disk, 401);
  for (const made of history.repeatable.slice(0, 12)) {
    // Asked for last, before others are hashed.
    await checkRepeats(store, [made]);
    const verifying = store.verify();
    await checkRepeats(store, [made]);
    expect(await verifying).toMatchObject({ ok: true });
    await checkRepeats(store, [made]);
  }
  const { head } = store;
  await checkRepeats(store, history.repeatable);
  expect(store.head).toBe(head);
  await store.close();
});
