import { randomFillSync } from 'node:crypto';
import type { Random } from '../base/random.ts';

/** The operating system's unpredictable bytes. No byte is handed out twice. */
export const nodeRandom: Random = { fill };

/** One call to the system costs about 1 µs however few bytes it asks for, so small requests share one. */
const poolSize = 16 * 1024;
/** Larger requests would empty the pool for little gain. */
const pooledSizeMax = poolSize / 16;
const pool = new Uint8Array(poolSize);
let usedSize = poolSize;

function fill(target: Uint8Array): void {
  if (target.length > pooledSizeMax) {
    randomFillSync(target);
    return;
  }
  if (target.length > poolSize - usedSize) {
    randomFillSync(pool);
    usedSize = 0;
  }
  // The pool has at least as many unused bytes as the target has. What was handed out is somebody's secret now (salts):
  // it is not kept here.
  const start = usedSize;
  for (let index = 0; index < target.length; index += 1) {
    target[index] = pool[start + index]!;
    pool[start + index] = 0;
  }
  usedSize = start + target.length;
}
