import { CorruptionError } from '../base/errors.ts';
import type { FrameBody, FrameEncoder } from './encoder.ts';
import { sameBytes } from './segment-info.ts';

/**
 * What the owner of a journal knows of it from elsewhere: everything below `position` was durable, and what ended there had this mark
 * (`FrameEncoder.markOf`). Below it a journal is believed without its bodies being read, and nothing is replayed.
 */
export interface KnownPosition {
  readonly position: number;
  readonly mark: Uint8Array;
}

/**
 * The journal is not the one that the position is known of. `another log`: a frame with another mark ends there, or none does. `shorter`:
 * the journal ends before it, so nothing can be compared; of the very journal it is evidence of lost frames. Thrown before the encoder
 * has seen a frame that isn't below the position, and before anything is changed.
 */
export class KnownPositionError extends CorruptionError {
  readonly refusal: 'another log' | 'shorter';

  constructor(
    refusal: KnownPositionError['refusal'],
    place: { readonly path: string; readonly offset: number; readonly position: number },
    reason: string,
  ) {
    super(place.path, place.offset, reason, undefined, place.position);
    this.refusal = refusal;
  }
}

/** Holds what is known against the frames of a journal. */
export class KnownCheck {
  readonly position: number;
  readonly #mark: Uint8Array;
  readonly #encoder: FrameEncoder;

  constructor({ position, mark }: KnownPosition, encoder: FrameEncoder) {
    this.position = position;
    this.#mark = mark;
    this.#encoder = encoder;
  }

  /** True of a frame below the position. Throws if the position is not known of this journal. */
  covers(body: FrameBody, path: string, offset: number): boolean {
    const { position } = this;
    const end = body.firstPosition + body.count;
    if (body.firstPosition >= position || end < position) {
      return end < position;
    }
    const mark = end > position ? undefined : this.#encoder.markOf?.(body);
    if (mark === undefined || !sameBytes(mark, this.#mark)) {
      const what = end > position ? 'no commit ends there' : 'something else stands before it';
      const reason = `this is not the log of which position ${position} is known: ${what}`;
      throw new KnownPositionError('another log', { path, offset, position }, reason);
    }
    return true;
  }

  /** Throws if the journal ends before the position. */
  reachedBy({ path, end, position, stop }: Reached): void {
    if (position < this.position) {
      const reason = `${stop}, and positions ${position} to ${this.position - 1} were durable`;
      throw new KnownPositionError('shorter', { path, offset: end, position }, reason);
    }
  }
}

/** The end of a journal. */
interface Reached {
  readonly path: string;
  readonly end: number;
  readonly position: number;
  readonly stop: string;
}
