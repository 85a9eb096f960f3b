import type { EventStore, NewEvent } from '../store/contract.ts';
import { open } from '../store/open-store.ts';
import type { StoreComponents, StoreOptions } from '../store/options.ts';
import { SimulatedFileSystem } from './simulated-file-system.ts';

/**
 * Opens a store that lives in memory and ends with the process: the same code, bytes and leaves as on disk, over a
 * simulated one. Pass a `fileSystem`, `clock` or `random` of your own to open the same folder again or to repeat a run.
 */
export async function openInMemory<Event extends NewEvent = NewEvent>(
  options: StoreOptions = {},
  components: StoreComponents = {},
): Promise<EventStore<Event>> {
  // Whatever else is given is looked at there; null is not nothing.
  const fileSystem = components?.fileSystem ?? new SimulatedFileSystem();
  const all =
    typeof components === 'object' && components !== null
      ? { ...components, fileSystem }
      : components;
  return open<Event>('/store', options, all);
}
