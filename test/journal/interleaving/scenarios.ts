/** Two producers with two records each, and a consumer. Each scenario is small enough to be enumerated whole. */
import type { ProducerPlan, Scenario } from './lane-plan.ts';

/** Two records beside each other. */
const roomy: ProducerPlan = {
  capacity: 32,
  records: [{ size: 16 }, { size: 16 }],
  waitsBy: 'blocking',
};
/** One record at a time; the second stands at the beginning again, behind a skip. */
const tight: ProducerPlan = { ...roomy, capacity: 24 };
/** The second record fills the lane: a skip must be published and released before there is room for it. */
const filling: ProducerPlan = {
  capacity: 24,
  records: [{ size: 16 }, { size: 24 }],
  waitsBy: 'message',
};
const looking: ProducerPlan = { ...roomy, looksAtOther: true };
const batch = [{ size: 16, isHeldBack: true }, { size: 16 }];

const usual = {
  mortals: [0, 1],
  consumerWaitsBy: 'message',
  firstAddress: 0,
  firstTicket: 0,
} as const;

export const withRoom: Scenario = {
  ...usual,
  name: 'there is room for everything',
  producers: [roomy, roomy],
};

export const oneByOne: Scenario = {
  ...usual,
  name: 'there is room for one record at a time, addresses wrap at 2^32, tickets at 2^31',
  producers: [tight, tight],
  firstAddress: -3,
  firstTicket: 2 ** 31 - 2,
};

export const causal: Scenario = {
  ...usual,
  name: 'a record may follow one of the other producer',
  producers: [looking, looking],
};

export const withFilling: Scenario = {
  ...usual,
  name: 'a record fills its lane, and its producer is an event loop',
  producers: [tight, filling],
};

export const inBatches: Scenario = {
  ...usual,
  name: 'two records are published at once, if there is room for two',
  producers: [
    { ...roomy, records: batch },
    { ...tight, records: batch },
  ],
};

export const withThread: Scenario = {
  ...usual,
  name: 'the consumer is a thread that blocks',
  producers: [tight, filling],
  consumerWaitsBy: 'blocking',
  // Such a thread would not hear of the death of one producer; its only one is the owner, with whom the process dies.
  mortals: [],
};
