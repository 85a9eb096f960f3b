import { VarveError } from '../base/errors.ts';
import type { Random } from '../base/random.ts';

/** So many bytes are never all zero by chance. */
const PIECE_SIZE = 16;

/** A caller's source of random bytes, checked: salts that are not filled would be no secret. */
export class CheckedRandom implements Random {
  readonly #given: Random;

  constructor(given: Random) {
    this.#given = given;
  }

  fill(target: Uint8Array): void {
    target.fill(0);
    try {
      this.#given.fill(target);
    } catch (cause) {
      throw new VarveError('INVALID_ARGUMENT', 'The source of random bytes has thrown.', { cause });
    }
    for (let start = 0; start + PIECE_SIZE <= target.length; start += PIECE_SIZE) {
      if (isZero(target, start)) {
        throw new VarveError(
          'INVALID_ARGUMENT',
          'The source of random bytes has not filled what it was given: fill() must overwrite all of it.',
        );
      }
    }
  }
}

function isZero(bytes: Uint8Array, start: number): boolean {
  for (let at = start; at < start + PIECE_SIZE; at += 1) {
    if (bytes[at] !== 0) {
      return false;
    }
  }
  return true;
}
