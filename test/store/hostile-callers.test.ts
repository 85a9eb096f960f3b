/** What callers can do to a store by mistake or on purpose, without it being hurt. Each was a defect once. */
import { getEventListeners } from 'node:events';
import { attach, type LogEntry, type NewEvent, type StoreOptions, VarveError } from 'varve';
import { FaultPlan, openInMemory, SimulatedClock, SimulatedFileSystem } from 'varve/testing';
import { describe, expect, it } from 'vitest';

const event: NewEvent = { type: 'T', data: 1 };
/** So small that a second commit has to wait for the first. */
const narrow: StoreOptions = { maxPendingBytes: 4_096 };
const large: NewEvent = { type: 'T', data: 'x'.repeat(3_000) };

async function codeOf(work: () => Promise<unknown>): Promise<string | undefined> {
  try {
    await work();
    return undefined;
  } catch (error) {
    return error instanceof VarveError ? error.code : String(error);
  }
}

/** An array of one item whose iterator gives none. */
function lying<Item>(item: Item): Item[] {
  return Object.assign([item], { [Symbol.iterator]: () => [][Symbol.iterator]() });
}

describe('a caller', () => {
  it('whose toJSON adds events to the array being appended appends what was there at the call', async () => {
    const store = await openInMemory();
    const events: NewEvent[] = [];
    const growing = {
      toJSON: () => {
        for (let n = 0; n < 70_000; n += 1) {
          events.push(event);
        }
        return 1;
      },
    };
    events.push({ type: 'T', data: growing });
    expect((await store.append('a', events)).lastPosition).toBe(0);
    await store.close();
  });

  it('whose array says it has events and gives none is refused, and nobody else is hurt', async () => {
    const store = await openInMemory();
    expect(await codeOf(() => store.append('a', lying(event)))).toBe('INVALID_ARGUMENT');
    const part = { stream: 'a', events: [event] };
    expect(await codeOf(() => store.commit(lying(part)))).toBe('INVALID_ARGUMENT');
    await store.append('a', [event]);
    expect(store.head).toBe(1);
    await store.close();
  });

  it('whose toJSON appends is served first, and nothing is mixed up', async () => {
    const store = await openInMemory();
    const inner: Promise<unknown>[] = [];
    const data = {
      toJSON: () => {
        inner.push(store.append('a', [{ type: 'Inner' }]));
        return 'outer';
      },
    };
    await store.append('a', [{ type: 'Outer', data }]);
    await Promise.all(inner);
    const types: string[] = [];
    for await (const { type } of store.read()) {
      types.push(type);
    }
    expect(types).toEqual(['Inner', 'Outer']);
    await store.close();
  });

  it('who shrinks a buffer during the call has appended what it held before', async () => {
    const store = await openInMemory();
    const buffer = new (ArrayBuffer as unknown as new (
      size: number,
      options: object,
    ) => ArrayBuffer & {
      resize(size: number): void;
    })(8, { maxByteLength: 8 });
    const shrinking = {
      toJSON: () => {
        buffer.resize(1);
        return 1;
      },
    };
    const bytes = new Uint8Array(buffer);
    await store.append('a', [
      { type: 'Bytes', data: bytes },
      { type: 'Shrink', data: shrinking },
    ]);
    expect(((await store.get(0))!.data as Uint8Array).length).toBe(8);
    await store.close();
  });

  it('who gives a controller for its signal is told so, and nobody else is hurt', async () => {
    const store = await openInMemory(narrow);
    const signal = new AbortController() as unknown as AbortSignal;
    expect(await codeOf(() => store.append('a', [event], { signal }))).toBe('INVALID_ARGUMENT');
    expect(await codeOf(() => store.waitFor(9, { signal }))).toBe('INVALID_ARGUMENT');
    expect(await codeOf(() => store.verify({ signal }))).toBe('INVALID_ARGUMENT');
    await store.append('a', [event]);
    expect(store.head).toBe(1);
    await store.close();
  });

  it('who gives data that JSON would lose is told so', async () => {
    const store = await openInMemory();
    for (const data of [new ArrayBuffer(1), new Map(), new Set(), new Float64Array(1)]) {
      const code = await codeOf(() => store.append('a', [{ type: 'T', data }]));
      expect(code).toBe('INVALID_ARGUMENT');
    }
    const metadata = new Uint8Array(1);
    const code = await codeOf(() => store.append('a', [{ type: 'T', metadata }]));
    expect(code).toBe('INVALID_ARGUMENT');
    await store.close();
  });

  it('who gives null for options or parts gets an error of ours', async () => {
    const store = await openInMemory();
    const nothing = null as never;
    expect(await codeOf(() => store.append('a', [event], nothing))).toBe('INVALID_ARGUMENT');
    expect(await codeOf(() => store.commit([nothing]))).toBe('INVALID_ARGUMENT');
    expect(await codeOf(async () => store.read(nothing))).toBe('INVALID_ARGUMENT');
    await store.close();
  });

  it('who gives revisions that are no range is told so, and not answered with everything', async () => {
    const store = await openInMemory();
    await store.append('a', [event, event, event]);
    for (const revisions of [null, 'x', 1, [1, 2], { frm: 1 }, { from: -1 }, { to: '2' }]) {
      const query = { stream: 'a', revisions } as never;
      const code = await codeOf(async () => store.read(query));
      expect(code, JSON.stringify(revisions)).toBe('INVALID_ARGUMENT');
    }
    expect(await codeOf(async () => store.read({ revisions: {} }))).toBe('INVALID_ARGUMENT');
    await store.close();
  });

  it('who reads up to a limit and never comes back leaves no file open', async () => {
    const fileSystem = new SimulatedFileSystem();
    const store = await openInMemory({}, { fileSystem });
    await store.append('a', [event, event]);
    await store.get(0);
    const before = fileSystem.openCount;
    for (let n = 0; n < 20; n += 1) {
      await store.read({}, { limit: 1 }).next();
    }
    expect(fileSystem.openCount).toBe(before);
    await store.read().next();
    await store.close();
    expect(fileSystem.openCount).toBe(0);
  });

  it('who backs up into the store is refused', async () => {
    const store = await openInMemory();
    expect(await codeOf(() => store.backup('/store/backup'))).toBe('INVALID_ARGUMENT');
    expect(await codeOf(() => store.backup('/store'))).toBe('INVALID_ARGUMENT');
    await store.close();
  });

  it('who appends from its logger stands behind whoever waits already', async () => {
    const entries: LogEntry[] = [];
    const late: Promise<unknown>[] = [];
    const store = await openInMemory(narrow, {
      clock: new SimulatedClock({ startMs: 1e6 }),
      logger: (entry) => {
        entries.push(entry);
        if (entry.event === 'waiting-for-room') {
          late.push(store.append('a', [{ type: 'Late' }]));
        }
      },
    });
    await Promise.all([store.append('a', [large]), store.append('a', [large])]);
    await Promise.all(late);
    expect(entries.map((entry) => entry.event)).toContain('waiting-for-room');
    // The first append found a store without prepared space and waited; the logger's came during that call.
    expect((await store.get(0))!.type).toBe('T');
    expect((await store.get(1))!.type).toBe('Late');
    await store.close();
  });
});

describe('those who wait', () => {
  it('are all waited for by flush, even when the last of them gives up', async () => {
    const store = await openInMemory(narrow);
    const controller = new AbortController();
    const { signal } = controller;
    const first = store.append('a', [large]);
    const second = store.append('a', [large]);
    const third = store.append('a', [large], { signal });
    const flushed = store.flush();
    controller.abort();
    expect(await codeOf(() => third)).toBe('ABORTED');
    await flushed;
    expect(store.head).toBe(2);
    await Promise.all([first, second]);
    await store.close();
  });

  it('share one listener on a signal, and leave together', async () => {
    const store = await openInMemory(narrow);
    const controller = new AbortController();
    const { signal } = controller;
    let listeners = 0;
    const listen = signal.addEventListener.bind(signal);
    signal.addEventListener = (...args: Parameters<typeof listen>) => {
      listeners += 1;
      listen(...args);
    };
    const first = store.append('a', [large]);
    const others = Array.from({ length: 100 }, () =>
      codeOf(() => store.append('a', [large], { signal })),
    );
    controller.abort();
    expect(new Set(await Promise.all(others))).toEqual(new Set(['ABORTED']));
    expect(listeners).toBe(1);
    await first;
    expect(store.head).toBe(1);
    await store.close();
  });
});

describe('flush and waitFor', () => {
  it('do not say of somebody’s append that it was not applied', async () => {
    const faults = new FaultPlan({
      when: ({ kind, path, async: isAsync }) =>
        kind === 'sync' && isAsync && path.endsWith('.seg') && isArmed ? 'EIO' : undefined,
    });
    let isArmed = false;
    const store = await openInMemory({}, { fileSystem: new SimulatedFileSystem({ faults }) });
    await store.append('a', [event]);
    isArmed = true;
    const appending = store.append('a', [event]);
    const errors = await Promise.allSettled([appending, store.flush(), store.waitFor(5)]);
    const applied = errors.map((one) =>
      one.status === 'rejected' ? (one.reason as VarveError).applied : 'no error',
    );
    expect(applied).toEqual(['unknown', undefined, undefined]);
    await store.close();
  });
});

describe('one signal for everything', () => {
  it('is listened to once, whatever waits for it, and no leak is warned of', async () => {
    const warnings: Error[] = [];
    const note = (warning: Error): void => void warnings.push(warning);
    process.on('warning', note);
    const controller = new AbortController();
    const { signal } = controller;
    const stores = await Promise.all(Array.from({ length: 12 }, async () => openInMemory(narrow)));
    const clients = await Promise.all(stores.map(async (store) => attach(store.share())));
    const waits: Promise<unknown>[] = [];
    for (const store of [...stores, ...clients]) {
      for (let n = 0; n < 20; n += 1) {
        waits.push(codeOf(() => store.waitFor(1_000_000, { signal })));
        waits.push(codeOf(() => store.append('a', [large], { signal })));
      }
      waits.push(codeOf(() => store.read({}, { signal }).next()));
    }
    expect(getEventListeners(signal, 'abort')).toHaveLength(1);
    controller.abort();
    const codes = new Set(await Promise.all(waits));
    expect(codes).toContain('ABORTED');
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
    await Promise.all(clients.map(async (client) => client.close()));
    await Promise.all(stores.map(async (store) => store.close()));
    await new Promise((resolve) => setImmediate(resolve));
    process.off('warning', note);
    expect(warnings).toEqual([]);
  });
});
