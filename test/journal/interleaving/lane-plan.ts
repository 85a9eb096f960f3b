/** What producers A and B and their consumer are to do, in which words, and what may be wrong with them. */
import type { Cells } from '../../../src/journal/cells.ts';
import type { LaneConsumer } from '../../../src/journal/lane.ts';
import { LaneCell } from '../../../src/journal/lane-layout.ts';
import type { LaneMerger } from '../../../src/journal/lane-merger.ts';

export interface RecordPlan {
  /** In the lane, header included. */
  readonly size: number;
  /** Published together with the next one. */
  readonly isHeldBack?: boolean;
}

export interface ProducerPlan {
  readonly capacity: number;
  readonly records: readonly RecordPlan[];
  /** How it waits for room: as a thread that blocks, or as an event loop that gets a message. */
  readonly waitsBy: 'blocking' | 'message';
  /** Before its second record it looks whether the other's first `publish` has returned. */
  readonly looksAtOther?: boolean;
}

export interface Scenario {
  readonly name: string;
  readonly producers: readonly [ProducerPlan, ProducerPlan];
  /** Numbers of producers of which one may die. */
  readonly mortals: readonly number[];
  /** How it waits for work: as an event loop that gets messages, or as a thread that blocks. */
  readonly consumerWaitsBy: 'message' | 'blocking';
  readonly firstAddress: number;
  readonly firstTicket: number;
}

export interface Lane {
  readonly number: number;
  readonly consumer: LaneConsumer;
}

/** What the consumer needs of a merger. */
export type Merger = Pick<LaneMerger<Lane>, 'add' | 'remove' | 'drain' | 'fallAsleep'>;

export interface ProducerCells {
  readonly lane: Cells;
  readonly hub: Cells;
}

export interface ConsumerCells {
  readonly lanes: readonly Cells[];
  readonly hub: Cells;
}

/** The places where something can be done wrong. */
export interface Defect {
  readonly isFilledAfterPublish?: boolean;
  readonly takesTicketBeforeRoom?: boolean;
  readonly isReleasedBeforeCopied?: boolean;
  readonly isRemovedUndrained?: boolean;
  readonly isDeathUnnoticed?: boolean;
  readonly makeMerger?: (cells: ConsumerCells, firstTicket: number) => Merger;
  readonly producerCells?: (cells: ProducerCells) => ProducerCells;
  readonly consumerCells?: (cells: ConsumerCells) => ConsumerCells;
}

export const names = ['A', 'B'] as const;

/** All words that somebody shares, in one row. Mailboxes are words that count messages. */
export const Word = {
  clock: 0,
  asleep: 1,
  lanes: 2,
  hasReturned: 8,
  mailOfConsumer: 10,
  deaths: 11,
  mailOfProducers: 13,
} as const;

export const wordNames: readonly string[] = [
  'clock',
  'asleep',
  ...names.flatMap((name) => [`${name}.tail`, `${name}.head`, `${name}.waits`]),
  ...names.map((name) => `${name}1 has returned`),
  'mail of the consumer',
  ...names.map((name) => `death of ${name}`),
  ...names.map((name) => `mail of ${name}`),
];

const WORDS_PER_LINE = LaneCell.head;

export function hubWord(index: number): number {
  return index / WORDS_PER_LINE;
}

export function laneWord(number: number, index: number): number {
  return Word.lanes + 3 * number + index / WORDS_PER_LINE;
}

/** Stands in every byte of a record's content. `hasSeen`: the first record of the other had been published before. */
export function contentOf(number: number, index: number, hasSeen: boolean): number {
  return (number + 1) * 16 + index * 2 + (hasSeen ? 1 : 0);
}
