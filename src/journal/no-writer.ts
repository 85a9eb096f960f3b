import { makeHubWords, makeLaneMemory } from './lane-layout.ts';
import type { StartWriter } from './writer-host.ts';

/** Of a journal that is only read: its owner lets no frame in, so there is nothing to write. */
export const startNoWriter: StartWriter = () => ({
  memory: makeLaneMemory(LANE_SIZE, false),
  hubWords: makeHubWords(false),
  host: {
    isThread: false,
    wake: () => {},
    order: () => {},
    hold: () => {},
    close: () => Promise.resolve(),
  },
});

const LANE_SIZE = 4_096;
