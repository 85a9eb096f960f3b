import { type EventStore, open } from '../index.ts';
import { storeComponents } from './store-notes.ts';
import type { Terminal } from './terminal.ts';

/** Opens a store that must be there to read it, for as long as `work` takes. Nothing in its folder is changed. */
export async function withStore<Result>(
  directory: string,
  terminal: Terminal,
  work: (store: EventStore) => Promise<Result>,
): Promise<Result> {
  const store = await open(directory, { readOnly: true }, storeComponents(terminal));
  try {
    return await work(store);
  } finally {
    await store.close();
  }
}
