import { HalfSipHash } from '../base/half-sip-hash.ts';
import { viewOf } from '../base/integers.ts';

/** A keyed hash of a text within a scope, 64 bits, left in `low` and `high`. Two texts may have one: whoever finds it looks at the record. */
export interface TextHash {
  readonly low: number;
  readonly high: number;
  take(scope: string, text: string): void;
}

/** HalfSipHash-1-3 of the scope's length, the scope, and the text, in UTF-16 units: no two pairs make the same message. */
export class SecretHash implements TextHash {
  readonly #hash: HalfSipHash;

  /** `secret`: 8 bytes that nobody outside knows. */
  constructor(secret: Uint8Array) {
    const view = viewOf(secret);
    this.#hash = new HalfSipHash(view.getUint32(0, true), view.getUint32(4, true), 1);
  }

  get low(): number {
    return this.#hash.low;
  }

  get high(): number {
    return this.#hash.high;
  }

  take(scope: string, text: string): void {
    const hash = this.#hash;
    hash.start();
    hash.addWord(scope.length);
    if (scope !== '') {
      addUnits(hash, scope, scope.length);
    }
    const pairsEnd = text.length & ~1;
    addUnits(hash, text, pairsEnd);
    hash.finish(text.length, pairsEnd < text.length ? text.charCodeAt(pairsEnd) : 0);
  }
}

/** Two units to a word; the last word of an odd number has one. */
function addUnits(hash: HalfSipHash, text: string, count: number): void {
  for (let index = 0; index < count; index += 2) {
    const second = index + 1 < count ? text.charCodeAt(index + 1) : 0;
    hash.addWord(text.charCodeAt(index) | (second << 16));
  }
}
