import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { VarveError } from '../../base/errors.ts';
import { poisoned } from '../../journal/write-failure.ts';
import { SimulatedClock } from '../../testing/simulated-clock.ts';
import { BatchBody } from './batch-body.ts';
import { OperationKind } from './format.ts';
import { KvWriter } from './kv-writer.ts';
import { Levels } from '../manifest/levels.ts';
import { MemtableQueue } from '../tree/memtable-queue.ts';
import { PendingBatch } from './pending-batch.ts';
import { ReadState } from '../tree/read-state.ts';
import { TableSet } from '../tree/table-set.ts';
import type { Tree } from '../tree/tree.ts';
import { NoLog } from './store-log.ts';

function none(): never {
  throw new Error('there are no tables');
}

interface Setup {
  readonly writer: KvWriter;
  /** So many batches may be accepted in all. */
  limit: number;
  submit(key: string): { readonly batch: PendingBatch; readonly answer: Promise<number | string> };
}

function setUp(): Setup {
  const state = new ReadState(
    [],
    new TableSet({ open: none, openAsync: none, unused: none }, Levels.empty, 1),
  );
  const options = { sizeTarget: 1024 * 1024, isShared: false };
  const tree = {
    memtables: new MemtableQueue(state, options, () => {}),
    maintenance: {
      get pressure() {
        return writer.lastSequence < setup.limit ? ('none' as const) : ('stop' as const);
      },
      flushError: undefined,
      compactionError: undefined,
    },
    state: { lastSequence: 0 },
  };
  const log = new NoLog(tree as unknown as Tree, {
    roomChanged: () => {},
    noSpace: () => {},
    failed: ({ cause }) => writer.close(poisoned(cause, 'no')),
  });
  const clock = new SimulatedClock();
  const writer: KvWriter = new KvWriter({ tree, log, clock, refusal: () => undefined });
  const setup: Setup = {
    writer,
    limit: 0,
    submit: (text) => {
      const key = Uint8Array.from(Buffer.from(text));
      const body = new BatchBody();
      body.add(OperationKind.put, key, new Uint8Array(8));
      let batch: PendingBatch | undefined;
      const answer = new Promise<number>((resolve, reject) => {
        batch = new PendingBatch(body, [], true, resolve, reject);
        writer.submit(batch);
      });
      return { batch: batch!, answer: answer.catch((error: VarveError) => error.code) };
    },
  };
  return setup;
}

async function turn(): Promise<void> {
  await new Promise(setImmediate);
}

describe('a queue of batches that wait', () => {
  it('lets go of what is decided even if it is never empty', async () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const setup = setUp();
    const batches: WeakRef<PendingBatch>[] = [];
    for (let round = 0; round < 400; round += 1) {
      for (let index = 0; index < 8; index += 1) {
        batches.push(new WeakRef(setup.submit(`key ${index}`).batch));
      }
      // The first rounds fill it, the others leave as much in it as they found.
      setup.limit += round < 4 ? 0 : 8;
      setup.writer.admitWaiting();
    }
    expect(setup.writer.waitingCount).toBe(32);
    await turn();
    collect();
    const heldCount = batches.filter((batch) => batch.deref() !== undefined).length;
    expect(heldCount).toBeGreaterThanOrEqual(32);
    expect(heldCount).toBeLessThan(32 + 200);
  });

  it('is served in order, whatever it has let go of', async () => {
    const setup = setUp();
    const answers = Array.from({ length: 1_000 }, (_, index) => setup.submit(`${index}`).answer);
    const seen: (number | string)[] = [];
    for (const answer of answers) {
      void answer.then((version) => seen.push(version));
    }
    while (setup.writer.waitingCount > 0) {
      setup.limit += 7;
      setup.writer.admitWaiting();
      await turn();
    }
    expect(seen).toEqual(Array.from(answers, (_, index) => index + 1));
    await setup.writer.waitingDecided();
  });
});

describe('a batch', () => {
  it('has its own memory while it waits, and none when it has been accepted', async () => {
    const setup = setUp();
    const body = new BatchBody();
    body.add(OperationKind.put, Uint8Array.of(1), new Uint8Array(8));
    let batch: PendingBatch | undefined;
    const answer = new Promise<number>((resolve, reject) => {
      batch = new PendingBatch(body, [], true, resolve, reject);
      setup.writer.submit(batch);
    });
    expect(batch!.body.bytes.buffer).not.toBe(body.bytes.buffer);
    expect(batch!.body).toMatchObject({ count: 1, size: body.size, capacity: body.size });
    setup.limit = Infinity;
    setup.writer.admitWaiting();
    expect(batch!.body).toMatchObject({ count: 0, capacity: 0 });
    expect(await answer).toBe(1);
    expect(setup.submit('b').batch.body.capacity).toBe(0);
  });
});

describe('writes that are held', () => {
  it('wait behind the sequence that was taken, which nobody sees until they go on', async () => {
    const setup = setUp();
    setup.limit = Infinity;
    expect(await setup.submit('a').answer).toBe(1);
    expect(await setup.writer.hold()).toBe(2);
    expect(setup.writer.lastSequence).toBe(1);
    const later = setup.submit('b');
    await turn();
    setup.writer.admitWaiting();
    expect(setup.writer.waitingCount).toBe(1);
    setup.writer.release();
    expect(await later.answer).toBe(3);
    expect(setup.writer.lastSequence).toBe(3);
    setup.writer.release();
    expect(setup.writer.lastSequence).toBe(3);
  });

  it('are told when nobody serves them, and a hold that never began holds nothing', async () => {
    const setup = setUp();
    const held = setup.writer.hold().catch((error: VarveError) => error.code);
    const put = setup.submit('a');
    setup.writer.refuseWaiting(new VarveError('UNAVAILABLE', 'There is no space.'));
    expect(await Promise.all([held, put.answer])).toEqual(['UNAVAILABLE', 'UNAVAILABLE']);
    setup.limit = Infinity;
    expect(await setup.submit('b').answer).toBe(1);
    await setup.writer.hold();
    const waiting = setup.submit('c');
    setup.writer.close(new VarveError('CLOSED', 'The store has been closed.'));
    setup.writer.release();
    expect(await waiting.answer).toBe('CLOSED');
  });
});

describe('a store without a log', () => {
  it('ends writing when a batch could be applied only in part', async () => {
    const setup = setUp();
    setup.limit = 10;
    const body = new BatchBody();
    body.add(OperationKind.put, new Uint8Array(1), new Uint8Array(1));
    body.add(OperationKind.put, new Uint8Array(1), new Uint8Array(1));
    // The second one's value ends nowhere.
    body.view.setUint32(14, 2 ** 20, true);
    const answer = new Promise<number>((resolve, reject) => {
      setup.writer.submit(new PendingBatch(body, [], true, resolve, reject));
    });
    await expect(answer).rejects.toMatchObject({ code: 'POISONED', applied: 'no' });
    expect(await setup.submit('later').answer).toBe('POISONED');
  });
});
