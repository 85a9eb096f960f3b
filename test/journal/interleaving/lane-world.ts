/**
 * Two producers A and B with a lane each, and the consumer of both: the code of src/journal on stepped threads, and a judge.
 *
 * A producer fills the content of a record in two halves and the consumer copies it in two halves; between the halves others
 * run. Every record is checked when it is taken: it must be the next of its producer, and whole.
 */
import { distance, GRANULE, LaneCell, type LaneMemory } from '../../../src/journal/lane-layout.ts';
import { ConsumerScript } from './consumer-script.ts';
import { type Defect, laneWord, names, type Scenario, Word, wordNames } from './lane-plan.ts';
import type { End, World } from './machine.ts';
import { ProducerScript } from './producer-script.ts';
import { InternedBytes, SteppedThread, type ThreadContext } from './stepped-thread.ts';

export class LaneWorld implements World {
  readonly names: readonly string[] = [...names, 'consumer'];
  readonly wordNames: readonly string[] = wordNames;
  readonly words: readonly number[];
  readonly bytes: InternedBytes;
  readonly threads: readonly SteppedThread[];
  readonly mortals: readonly number[];
  readonly #scenario: Scenario;
  readonly #defect: Defect;

  /** `isForgetful`: threads in the same local state are run on as one. */
  constructor(scenario: Scenario, defect: Defect = {}, isForgetful = true) {
    this.#scenario = scenario;
    this.#defect = defect;
    this.mortals = scenario.mortals;
    const words: number[] = wordNames.map(() => 0);
    words[Word.clock] = scenario.firstTicket;
    for (const number of names.keys()) {
      words[laneWord(number, LaneCell.tail)] = scenario.firstAddress;
      words[laneWord(number, LaneCell.head)] = scenario.firstAddress;
    }
    this.words = words;
    const [a, b] = scenario.producers;
    this.bytes = new InternedBytes(a.capacity + b.capacity);
    const memories: LaneMemory[] = [
      { words: noWords, bytes: new Uint8Array(this.bytes.buffer, 0, a.capacity) },
      { words: noWords, bytes: new Uint8Array(this.bytes.buffer, a.capacity, b.capacity) },
    ];
    const scripts = [
      ...memories.map((memory, number) => (thread: ThreadContext) => {
        const script = new ProducerScript(thread, number, { scenario, defect, memory });
        thread.begin();
        script.run();
        thread.describe = () => '';
        thread.settle('has ended');
      }),
      (thread: ThreadContext) => {
        const script = new ConsumerScript(thread, { scenario, defect, memories });
        thread.begin();
        script.run();
      },
    ];
    this.threads = scripts.map(
      (script) => new SteppedThread({ script, words, bytes: this.bytes, isForgetful }),
    );
  }

  deathWord(thread: number): number | undefined {
    return this.#defect.isDeathUnnoticed === true ? undefined : Word.deaths + thread;
  }

  /** At rest everything published has been taken and released, nobody waits, and the consumer can be woken. */
  judge({ words, locals }: End): void {
    const taken = locals[2]!.report;
    for (const [number, name] of names.entries()) {
      const tail = words[laneWord(number, LaneCell.tail)]!;
      if (taken[number] !== this.#publishedCount(number, tail)) {
        throw new Error(`${name}${taken[number]! + 1} is published and never taken`);
      }
      const local = locals[number];
      if (local !== undefined && local.access !== undefined) {
        throw new Error(`${local.label} waits for ever`);
      }
      if (
        local !== undefined &&
        taken[number] !== this.#scenario.producers[number]!.records.length
      ) {
        throw new Error(`${name} has ended, and ${name}${taken[number] + 1} is missing`);
      }
      if (words[laneWord(number, LaneCell.head)] !== tail) {
        throw new Error(`the head of ${name} is not its tail`);
      }
    }
    if (words[Word.asleep] !== 1) {
      throw new Error('the consumer sleeps, and nobody would wake it');
    }
  }

  /** How many records stand before this tail. */
  #publishedCount(number: number, tail: number): number {
    const { capacity, records } = this.#scenario.producers[number]!;
    let end = 0;
    return records.filter(({ size }) => {
      const rest = capacity - (end % capacity);
      end += size <= rest ? size : rest + size;
      return distance(tail, this.#scenario.firstAddress + end / GRANULE) >= 0;
    }).length;
  }
}

const noWords = new Int32Array(0);
