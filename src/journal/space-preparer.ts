/**
 * Zeroed space ahead of the tail: overwriting allocated bytes syncs about 1.5 times faster than growing a file, and a full
 * disk shows here, before a commit depends on it. Zeros are written in steps of 1 MiB, synced when nobody waits: unsynced
 * ones are paid for by the next commit, and larger steps stall a neighbour's sync. Under load they are left to the next
 * commit's sync, which overwrites most of them first.
 */
import { assert } from '../base/assert.ts';
import { limits } from '../base/limits.ts';
import { removeIfThere } from '../io/atomic-file.ts';
import type { Directory, File, FileSystem } from '../io/file-system.ts';
import { openDirectory } from '../io/open-directory.ts';
import { joinPath } from '../io/path.ts';
import { type Work, writeAll } from '../io/steps.ts';
import { SPARE_NAME } from './names.ts';

const zeros = new Uint8Array(limits.prepareStepSize);
/** Left to a commit's sync, they make that commit wait: a small one for little. */
const STEP_SIZE_WITH_BATCH = 128 * 1024;
/** Where space is scarce, no more is asked for than is needed now. */
const STEP_SIZE_IN_TROUBLE = 64 * 1024;
/** Half of what is ready may be used before more is prepared, and the batch after the next is gathering by then. */
const BATCHES_AHEAD = 4;
const AHEAD_SIZE_MAX = 8 * limits.prepareStepSize;

export class SpacePreparer {
  readonly #fileSystem: FileSystem;
  readonly #directory: string;
  #active: File;
  #preparedActive: number;
  #spare: File | undefined;
  #preparedSpare = 0;
  /** Open since the first spare: giving that its name must not fail for want of a descriptor. */
  #folder: Directory | undefined;
  #aheadSize = limits.prepareStepSize;
  #batchSize = 0;
  /** Small steps that must succeed before space counts as plentiful again. */
  #cautiousSteps = 0;

  constructor(
    parts: { readonly fileSystem: FileSystem; readonly directory: string },
    active: File,
    preparedActive: number,
  ) {
    this.#fileSystem = parts.fileSystem;
    this.#directory = parts.directory;
    this.#active = active;
    this.#preparedActive = preparedActive;
  }

  get preparedActive(): number {
    return this.#preparedActive;
  }

  get preparedSpare(): number {
    return this.#preparedSpare;
  }

  /** How far ahead it pays to prepare: little in a small store, more in one that fills large segments. */
  get aheadSize(): number {
    return this.#aheadSize;
  }

  /** Under load more is kept ready: what the next batches will take. */
  noteBatch(size: number): void {
    this.#batchSize = size;
    if (size * BATCHES_AHEAD > this.#aheadSize) {
      this.#aheadSize = Math.min(AHEAD_SIZE_MAX, size * BATCHES_AHEAD);
    }
  }

  /** A step found no space lately. Nothing is prepared ahead then until somebody needs it. */
  get hasSpaceTrouble(): boolean {
    return this.#cautiousSteps > 0;
  }

  /** Zeroes up to 1 MiB, less where a batch waits or space is scarce, towards `target` and returns how far the file is prepared now. */
  *step(isSpare: boolean, target: number, syncs: boolean): Work<number> {
    const start = isSpare ? this.#preparedSpare : this.#preparedActive;
    const stepSize = this.#stepSize(syncs);
    const stepEnd = start - (start % stepSize) + stepSize;
    const end = Math.min(target, stepEnd);
    assert(end > start, 'a step prepares something');
    try {
      const file = isSpare ? this.#openSpare() : this.#active;
      yield* writeAll(file, zeros.subarray(0, end - start), start);
      if (syncs) {
        yield { operation: 'sync', file };
      }
    } catch (error) {
      this.#cautiousSteps = zeros.length / STEP_SIZE_IN_TROUBLE;
      throw error;
    }
    this.#cautiousSteps = Math.max(0, this.#cautiousSteps - 1);
    if (isSpare) {
      this.#preparedSpare = end;
    } else {
      this.#preparedActive = end;
    }
    return end;
  }

  /** The next segment's file. */
  get spare(): File {
    assert(this.#spare !== undefined, 'a rotation has a prepared spare');
    return this.#spare;
  }

  /** The spare has become the active segment: it is not closed or removed here any more. */
  takeSpare(): void {
    this.#active = this.spare;
    this.#preparedActive = this.#preparedSpare;
    this.#spare = undefined;
    this.#preparedSpare = 0;
    this.#aheadSize = Math.min(AHEAD_SIZE_MAX, this.#aheadSize + limits.prepareStepSize);
  }

  removeSpare(): void {
    if (this.#spare !== undefined) {
      this.close();
      removeIfThere(this.#fileSystem, joinPath(this.#directory, SPARE_NAME));
    }
  }

  /** Makes names in the folder durable. Only where there was a spare. */
  syncFolder(): void {
    assert(this.#folder !== undefined, 'the folder was opened with the spare');
    this.#folder.sync();
  }

  close(): void {
    this.#folder?.close();
    this.#folder = undefined;
    this.#spare?.close();
    this.#spare = undefined;
    this.#preparedSpare = 0;
  }

  #stepSize(syncs: boolean): number {
    if (this.hasSpaceTrouble) {
      return STEP_SIZE_IN_TROUBLE;
    }
    const wanted = BATCHES_AHEAD * this.#batchSize;
    return syncs ? zeros.length : Math.min(zeros.length, Math.max(STEP_SIZE_WITH_BATCH, wanted));
  }

  #openSpare(): File {
    this.#folder ??= openDirectory(this.#fileSystem, this.#directory);
    this.#spare ??= this.#fileSystem.open(joinPath(this.#directory, SPARE_NAME), 'create');
    return this.#spare;
  }
}
