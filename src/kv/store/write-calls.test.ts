import { describe, expect, it } from 'vitest';
import { SimulatedClock } from '../../testing/simulated-clock.ts';
import { makeFound } from '../entries/cursor.ts';
import { bytesCodec, jsonCodec, type ValueCodec } from './kv-bytes.ts';
import { KvWriter } from './kv-writer.ts';
import { Levels } from '../manifest/levels.ts';
import { MemtableQueue } from '../tree/memtable-queue.ts';
import { ReadState } from '../tree/read-state.ts';
import { TableSet } from '../tree/table-set.ts';
import type { Tree } from '../tree/tree.ts';
import { NoLog } from './store-log.ts';
import { WriteCalls } from './write-calls.ts';

function none(): never {
  throw new Error('there are no tables');
}

/** Calls to a store without log or tables. */
class Setup<Value> {
  readonly calls: WriteCalls<Value>;
  readonly writer: KvWriter;
  isStopped = false;
  /** What batches were to be judged by when it was their turn. */
  readonly guards: unknown[] = [];
  readonly #state: ReadState;

  constructor(codec: ValueCodec<Value>) {
    this.#state = new ReadState(
      [],
      new TableSet({ open: none, openAsync: none, unused: none }, Levels.empty, 1),
    );
    const options = { sizeTarget: 8 * 1024 * 1024, isShared: false };
    const isStopped = (): boolean => this.isStopped;
    const tree = {
      memtables: new MemtableQueue(this.#state, options, () => {}),
      maintenance: {
        get pressure() {
          return isStopped() ? ('stop' as const) : ('none' as const);
        },
        flushError: undefined,
        compactionError: undefined,
      },
      state: { lastSequence: 0 },
    };
    const events = { roomChanged: () => {}, noSpace: () => {}, failed: () => {} };
    const log = new NoLog(tree as unknown as Tree, events);
    this.writer = new KvWriter({
      tree,
      log,
      clock: new SimulatedClock(),
      refusal: ({ guards }) => {
        this.guards.push(...structuredClone(guards));
        return undefined;
      },
    });
    this.calls = new WriteCalls(this.writer, codec, log, () => {});
  }

  get(key: string): string | undefined {
    const found = makeFound();
    const isFound = this.#state.get(Buffer.from(key), this.writer.lastSequence, found);
    return isFound
      ? Buffer.from(found.bytes.subarray(found.start, found.end)).toString()
      : undefined;
  }
}

describe('calls that write', () => {
  it('use the same memory one after the other, and those that wait have their own', async () => {
    const setup = new Setup(bytesCodec);
    await setup.calls.put('a', 'before', {});
    setup.isStopped = true;
    const waiting = Array.from({ length: 20 }, (_, index) => [
      setup.calls.put(`put ${index}`, `${index} `.repeat(index), {}),
      setup.calls.batch(
        [
          { type: 'put', key: `first ${index}`, value: `${-index}` },
          { type: 'put', key: `second ${index}`, value: '' },
        ],
        {},
      ),
      setup.calls.delete('a', {}),
    ]);
    expect(setup.writer.waitingCount).toBe(60);
    expect(setup.get('a')).toBe('before');
    setup.isStopped = false;
    setup.writer.admitWaiting();
    await Promise.all(waiting.flat());
    expect(setup.get('a')).toBeUndefined();
    for (let index = 0; index < 20; index += 1) {
      expect(setup.get(`put ${index}`)).toBe(`${index} `.repeat(index));
      expect(setup.get(`first ${index}`)).toBe(`${-index}`);
      expect(setup.get(`second ${index}`)).toBe('');
    }
    expect(setup.writer.lastSequence).toBe(1 + 20 * 4);
  });

  it('are judged by the keys that were given, whatever became of the arrays since', async () => {
    const setup = new Setup(bytesCodec);
    setup.isStopped = true;
    const keys = Array.from({ length: 5 }, (_, index) => new Uint8Array(3).fill(index));
    const waiting = [
      setup.calls.put(keys[0]!, 'x', { ifAbsent: true }),
      setup.calls.put(keys[1]!, 'x', { ifVersion: 7 }),
      setup.calls.batch([], { guards: [{ key: keys[2]!, version: 8 }] }),
      setup.calls.batch([], { guards: [{ key: keys[3]!, absent: true }] }),
      setup.calls.batch([], { guards: [{ prefix: keys[4]!, empty: true }] }),
    ];
    for (const key of keys) {
      key.fill(9);
    }
    setup.isStopped = false;
    setup.writer.admitWaiting();
    await Promise.all(waiting);
    const given = Array.from({ length: 5 }, (_, index) => new Uint8Array(3).fill(index));
    expect(setup.guards).toEqual([
      { kind: 'absent', key: given[0] },
      { kind: 'version', key: given[1], version: 7 },
      { kind: 'version', key: given[2], version: 8 },
      { kind: 'absent', key: given[3] },
      { kind: 'empty', prefix: given[4] },
    ]);
  });

  it('that are made while the arguments of another are looked at do not touch it', async () => {
    const setup = new Setup<unknown>(jsonCodec);
    const inner: Promise<number>[] = [];
    const value = (text: string): object => ({
      toJSON: () => {
        inner.push(setup.calls.put(`inner of ${text}`, `x${text}`, {}));
        return text;
      },
    });
    await setup.calls.batch(
      [
        { type: 'put', key: 'one', value: value('1') },
        { type: 'put', key: 'two', value: value('2') },
      ],
      {},
    );
    const late = {
      get ack(): 'durable' {
        inner.push(setup.calls.put('inner of late', 'y', {}));
        return 'durable';
      },
    };
    await setup.calls.put('late', 'z', late);
    await Promise.all(inner);
    const found = ['one', 'two', 'late', 'inner of 1', 'inner of 2', 'inner of late'];
    expect(found.map((key) => setup.get(key))).toEqual(
      ['1', '2', 'z', 'x1', 'x2', 'y'].map((text) => JSON.stringify(text)),
    );
  });

  it('reject, never throw, and leave nothing behind for the next one', async () => {
    const setup = new Setup(bytesCodec);
    const code = 'INVALID_ARGUMENT';
    const good = { type: 'put', key: 'good', value: 'x' } as const;
    const bad = { type: 'put', key: 7 as never, value: 'x' } as const;
    await expect(setup.calls.batch([good, bad], {})).rejects.toMatchObject({ code });
    await expect(setup.calls.put(7 as never, 'x', {})).rejects.toMatchObject({ code });
    await expect(setup.calls.delete('a', { ack: 7 as never })).rejects.toMatchObject({ code });
    await setup.calls.put('after', 'y', {});
    expect([setup.get('good'), setup.get('after')]).toEqual([undefined, 'y']);
    expect(setup.writer.lastSequence).toBe(1);
  });
});
