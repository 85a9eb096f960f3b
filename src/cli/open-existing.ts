import { type EventStore, open } from '../index.ts';
import { storeComponents } from './store-notes.ts';
import type { Terminal } from './terminal.ts';

/** Opens a store that must be there, for as long as `work` takes. */
export async function withStore<Result>(
  directory: string,
  terminal: Terminal,
  work: (store: EventStore) => Promise<Result>,
): Promise<Result> {
  const store = await open(directory, { create: false }, storeComponents(terminal));
  try {
    return await work(store);
  } finally {
    await store.close();
  }
}
