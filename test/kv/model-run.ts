/**
 * Random calls to a store and to the model, compared as they go. A write is applied to the model when the store has accepted it, which
 * the store's version tells: a write that has to wait is seen later, and never out of order.
 */
import {
  type KvBatchOptions,
  type KvComponents,
  type KvOptions,
  type KvSnapshot,
  type KvStore,
  openKv,
  VarveError,
} from 'varve/kv';
import type { SeededRandom } from 'varve/testing';
import { expect } from 'vitest';
import {
  expectSame,
  type HeldIterator,
  type HeldSnapshot,
  pairOf,
  sendWrite,
  textsOf,
} from './model-calls.ts';
import { Draws } from './model-draws.ts';
import { drawValue, type KeyKind } from './awkward-keys.ts';
import {
  bytesOf,
  isInRange,
  linesOf,
  type ModelOutcome,
  type ModelView,
  type ModelWrite,
  rangeOf,
  SortedModel,
  textOf,
} from './model.ts';

export interface RunSettings {
  readonly directory: string;
  readonly keys: KeyKind;
  readonly options: KvOptions;
  /** Lets time pass while writes are held up. */
  readonly passTime: () => void;
  /** The store has been closed. */
  readonly closed: () => void;
}

interface Sent {
  readonly write: ModelWrite;
  readonly isDurable: boolean;
  readonly answer: Promise<ModelOutcome>;
  outcome?: ModelOutcome;
  /** It changed the model. */
  isEffective?: boolean;
}

const SNAPSHOT_COUNT_MAX = 4;
const UNCHECKED_COUNT_MAX = 64;

export class KvRun {
  kv!: KvStore;
  model: SortedModel = new SortedModel();
  /** Since the model was last known to be durable: what a crash may leave. */
  base: ModelView = this.model.view;
  history: Sent[] = [];
  /** Highest version whose writer was told that it is durable. */
  acknowledged = 0;
  /** What the run has seen, beside what the store itself marks. */
  readonly seen: Set<string> = new Set();
  /**
   * The power is about to be cut, or has been: what may be lost is remembered, and nothing is ingested, for an interrupted ingest may
   * leave its version taken and nothing else.
   */
  isCrashing = false;
  /** Calls whose answers were compared. */
  callCount = 0;
  readonly #random: SeededRandom;
  readonly #settings: RunSettings;
  readonly #draws: Draws;
  /** Sent, and not known to be accepted. */
  #waiting: Sent[] = [];
  /** Accepted or refused, and not compared with the answer. */
  #unchecked: Sent[] = [];
  #snapshots: HeldSnapshot[] = [];
  #iterators: HeldIterator[] = [];

  constructor(random: SeededRandom, settings: RunSettings) {
    this.#random = random;
    this.#settings = settings;
    this.#draws = new Draws(random, settings.keys, () => this.model);
  }

  async open(components: KvComponents): Promise<void> {
    this.kv = await openKv(this.#settings.directory, this.#settings.options, components);
  }

  async step(): Promise<void> {
    const random = this.#random;
    this.callCount += 1;
    const roll = random.below(1_000);
    if (roll < 300) {
      this.#write();
    } else if (roll < 680) {
      this.#get();
    } else if (roll < 740) {
      this.#iterate();
    } else if (roll < 800) {
      this.#stepIterators();
    } else if (roll < 840) {
      this.#list();
    } else if (roll < 860) {
      this.#longestPrefix();
    } else if (roll < 890) {
      this.#snapshot();
    } else if (roll < 900) {
      await this.#asynchronously();
    } else if (roll < 902) {
      await this.#maintain();
    } else if (random.chance(0.5)) {
      await new Promise(setImmediate);
    }
    if (this.#unchecked.length + this.#waiting.length > UNCHECKED_COUNT_MAX) {
      await this.check();
    }
  }

  /** Waits for every write, and compares all that was answered. */
  async check(): Promise<void> {
    const sent = [...this.#unchecked, ...this.#waiting];
    const state = { isOver: false };
    const answers = Promise.all(sent.map(({ answer }) => answer)).finally(() => {
      state.isOver = true;
    });
    while (!state.isOver) {
      this.#settings.passTime();
      await new Promise(setImmediate);
    }
    const outcomes = await answers;
    for (const waiting of this.#waiting) {
      this.#apply(waiting);
    }
    this.#waiting = [];
    this.#unchecked = [];
    for (const [index, { write, outcome }] of sent.entries()) {
      expectSame(outcomes[index], outcome, write);
    }
    expect(this.kv.lastVersion).toBe(this.model.version);
    // What was only acknowledged as written may still be lost.
    const isDurable = this.acknowledged === this.model.version;
    if (isDurable && !this.isCrashing && this.history.length > 2_000) {
      this.#rebase();
    }
  }

  /** All that is there, in both directions and by single reads. */
  compareAll(): void {
    const { kv } = this;
    const expected = this.#now().entries.map(pairOf);
    const found = Array.from(kv.iterateSync(), textsOf);
    expectSame(found, expected, 'all');
    const backwards = Array.from(kv.iterateSync({ reverse: true, borrow: true }), textsOf);
    expectSame(backwards, expected.toReversed(), 'all backwards');
    for (const { key, value, version } of this.model.now.entries) {
      const entry = kv.getEntrySync(bytesOf(key));
      expectSame(entry && textOf(entry.value), value, key);
      expectSame(entry?.version, version, key);
    }
  }

  /** Before the store is left: what is open is closed, and what was sent is over. */
  async rest(): Promise<void> {
    await this.check();
    for (const { snapshot } of this.#snapshots) {
      snapshot.close();
    }
    for (const { iterator } of this.#iterators) {
      iterator.close();
    }
    this.#snapshots = [];
    this.#iterators = [];
  }

  async reopen(components: KvComponents): Promise<void> {
    await this.rest();
    await this.kv.close();
    this.#settings.closed();
    await this.open(components);
    expect(this.kv.recovery).toMatchObject({ isNew: false, quarantined: undefined, orphans: [] });
    expect(this.kv.recovery.wasClosed).toBe(true);
    this.#rebase();
    this.compareAll();
    this.seen.add('reopened');
  }

  /** The model as a store recovered up to `version` has it. */
  modelAt(version: number): SortedModel {
    const model = new SortedModel(this.base);
    for (const { write } of this.history) {
      if (model.version >= version) {
        break;
      }
      model.apply(write);
    }
    expect(model.version, 'what is recovered ends where a batch does').toBe(version);
    return model;
  }

  /** From here on nothing before can be lost. */
  #rebase(): void {
    this.history = [];
    this.base = this.model.view;
  }

  goOnFrom(model: SortedModel): void {
    this.model = model;
    this.acknowledged = model.version;
    this.#rebase();
  }

  #now(): ModelView {
    while (this.#waiting.length > 0 && this.model.version < this.kv.lastVersion) {
      const sent = this.#waiting.shift()!;
      this.#apply(sent);
      this.#unchecked.push(sent);
    }
    if (this.kv.lastVersion !== this.model.version) {
      expect(this.kv.lastVersion).toBe(this.model.version);
    }
    return this.model.now;
  }

  #apply(sent: Sent): void {
    const { version } = this.model;
    sent.outcome = this.model.apply(sent.write);
    sent.isEffective = this.model.version > version;
    this.history.push(sent);
  }

  #write(): void {
    const random = this.#random;
    const write = this.#draws.write();
    const isDurable = random.chance(0.7);
    const options = isDurable ? {} : ({ ack: 'written' } as const);
    const sent: Sent = { write, isDurable, answer: this.#send(write, options) };
    void this.#noteAnswer(sent);
    this.#waiting.push(sent);
    this.#now();
    if (this.#waiting.length > 0) {
      this.seen.add('a write was not seen at once');
    }
  }

  /** A batch of nothing is answered at once: there is nothing of it to be durable. */
  async #noteAnswer(sent: Sent): Promise<void> {
    const outcome = await sent.answer;
    const isPromise = sent.isDurable && sent.write.kind === 'batch' && sent.isEffective === true;
    if (isPromise && typeof outcome === 'number') {
      this.acknowledged = Math.max(this.acknowledged, outcome);
    }
  }

  /** Nothing else is written meanwhile. */
  async #ingest(): Promise<void> {
    const random = this.#random;
    const keys = new Set(Array.from({ length: random.below(60) }, () => this.#draws.key()));
    const entries = [...keys].toSorted().map((key) => [key, drawValue(random)] as const);
    const write: ModelWrite = { kind: 'ingest', entries };
    const version = await sendWrite(this.kv, write, {}, bytesOf);
    this.#apply({ write, isDurable: true, answer: Promise.resolve(version) });
    expect(version).toBe(this.model.version);
    this.acknowledged = Math.max(this.acknowledged, version);
    this.seen.add('ingested');
  }

  /** The call that says the same. What is given is overwritten as soon as the call returns. */
  async #send(write: ModelWrite, options: KvBatchOptions): Promise<ModelOutcome> {
    const lent: Uint8Array[] = [];
    const lend = (text: string): Uint8Array => {
      const bytes = this.#random.chance(0.5) ? bytesOf(text) : new Uint8Array(bytesOf(text));
      lent.push(bytes);
      return bytes;
    };
    const answer = sendWrite(this.kv, write, options, lend);
    for (const bytes of lent) {
      bytes.fill(0xee);
    }
    try {
      return await answer;
    } catch (error) {
      if (error instanceof VarveError && error.code === 'CONDITION_FAILED') {
        this.seen.add('a condition failed');
        return error.code;
      }
      throw error;
    }
  }

  /** A snapshot and what is seen through it, or the present. */
  #moment(): { readonly options: { readonly snapshot?: KvSnapshot }; readonly view: ModelView } {
    const view = this.#now();
    if (this.#snapshots.length === 0 || this.#random.chance(0.6)) {
      return { options: {}, view };
    }
    const held = this.#random.pick(this.#snapshots);
    if (this.kv.stats().background.compactions > held.compactions) {
      this.seen.add('read a snapshot after a compaction');
    }
    return { options: { snapshot: held.snapshot }, view: held.view };
  }

  #get(): void {
    const random = this.#random;
    const key = this.#draws.key();
    const { options, view } = this.#moment();
    const expected = view.get(key);
    const given = bytesOf(key);
    this.callCount += 2;
    const borrow = random.chance(0.5);
    const value = this.kv.getSync(given, { ...options, borrow });
    expectSame(value && textOf(value), expected?.value, key);
    if (!borrow) {
      value?.fill(0x11);
    }
    const entry = this.kv.getEntrySync(given, options);
    expectSame(entry?.version, expected?.version, key);
    expectSame(entry && textOf(entry.value), expected?.value, key);
    expectSame(this.kv.hasSync(given, options), expected !== undefined, key);
  }

  #iterate(): void {
    const random = this.#random;
    const range = this.#draws.range();
    const { options, view } = this.#moment();
    const reverse = random.chance(0.5);
    const limit = random.pick([0, 1, 2, 5, 20, 20, Infinity]);
    const borrow = random.chance(0.5);
    const given = { ...rangeOf(range), ...options, reverse, limit, borrow };
    const inOrder = view.range(range);
    const expected = (reverse ? inOrder.toReversed() : inOrder).slice(0, limit);
    if (random.chance(0.3)) {
      const keys = Array.from(this.kv.iterateSync({ ...given, keysOnly: true }), textOf);
      expectSame(
        keys,
        expected.map(({ key }) => key),
        range,
      );
      return;
    }
    const found: string[] = [];
    for (const [key, value] of this.kv.iterateSync(given)) {
      found.push(textOf(key), textOf(value));
      if (!borrow) {
        key.fill(0x22);
        value.fill(0x33);
      }
    }
    expectSame(found, expected.flatMap(pairOf), range);
  }

  /** Iterators that stay open while writes go on, and go somewhere else now and then. */
  #stepIterators(): void {
    const random = this.#random;
    if (this.#iterators.length < 3) {
      const range = this.#draws.range();
      const { options, view } = this.#moment();
      const isReverse = random.chance(0.5);
      const given = { ...rangeOf(range), ...options, reverse: isReverse, keepOpen: true };
      const all = view.range(range);
      const rest = isReverse ? all.toReversed() : all;
      this.#iterators.push({ iterator: this.kv.iterateSync(given), range, isReverse, all, rest });
    }
    const held = random.pick(this.#iterators);
    if (random.chance(0.4)) {
      this.#seek(held);
    }
    for (let count = random.below(8); count > 0; count -= 1) {
      this.callCount += 1;
      const { value, done } = held.iterator.next();
      const [expected, ...rest] = held.rest;
      held.rest = rest;
      expectSame(
        done === true ? undefined : textsOf(value),
        expected && pairOf(expected),
        held.range,
      );
    }
    if (random.chance(0.05)) {
      held.iterator.close();
      expect(held.iterator.next().done).toBe(true);
      this.#iterators = this.#iterators.filter((other) => other !== held);
    }
  }

  #seek(held: HeldIterator): void {
    const key = this.#draws.key();
    held.iterator.seek(bytesOf(key));
    const isInside = isInRange(key, held.range);
    const { all, isReverse } = held;
    if (!isInside) {
      held.rest = [];
    } else if (isReverse) {
      held.rest = all.filter((entry) => entry.key <= key).toReversed();
    } else {
      held.rest = all.filter((entry) => entry.key >= key);
    }
  }

  #list(): void {
    const random = this.#random;
    const prefix = random.chance(0.3) ? '' : this.#draws.prefix();
    const delimiter = random.pick([undefined, '/', '/', '\0', '\xff', 'a/', '0']);
    const after = random.pick([
      undefined,
      undefined,
      this.#draws.key(),
      `${this.#draws.prefix()}/`,
    ]);
    const limit = random.pick([0, 1, 3, 20, 20, 200]);
    const { options, view } = this.#moment();
    const given = {
      ...options,
      limit,
      ...(delimiter && { delimiter }),
      ...(after !== undefined && { after }),
    };
    const expected = view.list(prefix, delimiter, after).slice(0, limit);
    expectSame(linesOf(this.kv, prefix, given), expected, { prefix, delimiter, after });
  }

  #longestPrefix(): void {
    const path = this.#draws.key() + this.#random.pick(['', '/', 'x', '\0', '\xff\xff']);
    const { options, view } = this.#moment();
    const found = this.kv.longestPrefix(bytesOf(path), options);
    const entry = found && { ...found, key: textOf(found.key), value: textOf(found.value) };
    expectSame(entry, view.longestPrefix(path), path);
  }

  #snapshot(): void {
    if (this.#snapshots.length >= SNAPSHOT_COUNT_MAX || this.#random.chance(0.3)) {
      const index = this.#random.below(this.#snapshots.length);
      this.#snapshots.splice(index, 1)[0]?.snapshot.close();
      return;
    }
    this.#now();
    const { compactions } = this.kv.stats().background;
    this.#snapshots.push({ snapshot: this.kv.snapshot(), view: this.model.view, compactions });
  }

  async #asynchronously(): Promise<void> {
    const random = this.#random;
    const view = this.#now();
    if (random.chance(0.3)) {
      const prefix = this.#draws.prefix();
      const limit = random.below(100);
      const count = view.count(prefix);
      const expected = { count: Math.min(count, limit), isExact: count <= limit };
      expect(await this.kv.count(bytesOf(prefix), limit)).toEqual(expected);
      return;
    }
    if (random.chance(0.5)) {
      const keys = Array.from({ length: random.below(5) }, () => this.#draws.key());
      const expected = keys.map((key) => view.get(key)?.value);
      const values = await this.kv.getMany(keys.map(bytesOf));
      expect(values.map((value) => value && textOf(value))).toEqual(expected);
      return;
    }
    const range = this.#draws.range();
    const expected = view.range(range).map(pairOf);
    const found: string[][] = [];
    const iterator = this.kv.iterate(rangeOf(range));
    for await (const pair of iterator) {
      found.push(textsOf(pair));
      if (random.chance(0.1)) {
        this.#write();
      }
    }
    expect(found).toEqual(expected);
  }

  async #maintain(): Promise<void> {
    const roll = this.#random.below(100);
    await this.check();
    if (roll < 20 && !this.isCrashing) {
      await this.#ingest();
    } else if (roll < 60) {
      await this.kv.flush();
      expect(this.kv.stats().flushedVersion).toBe(this.kv.lastVersion);
    } else if (roll < 85) {
      await this.kv.compact(rangeOf(this.#draws.range()));
    } else if (roll < 95) {
      await this.kv.settled();
      this.compareAll();
    } else {
      expect(await this.kv.verify()).toMatchObject({ ok: true, problems: [] });
    }
  }
}
