import { rejectUnknownNames } from '../base/arguments.ts';
import { SeededRandom } from '../base/random.ts';
import type { Operation } from './operation-runner.ts';

/** `EMFILE` strikes what opens something: files, and directories to list or to sync. */
export type FaultKind = 'EIO' | 'ENOSPC' | 'EMFILE' | 'short';

export interface Fault {
  /** `short` makes a write return a smaller count without an error; it means nothing for other operations. */
  readonly kind: FaultKind;
  /** A failing write has applied a random prefix, which may be empty or all of it. Default: nothing. */
  readonly partial?: boolean;
}

export interface FaultPlanOptions {
  /** Asked once per operation, when it is issued. */
  readonly when?: (operation: Operation) => Fault | FaultKind | undefined;
  /** Size of the disk in bytes. Default: unlimited. */
  readonly capacity?: number;
  /** Decides the lengths of short and partial writes. */
  readonly seed?: number;
}

const optionNames: ReadonlySet<string> = new Set(['when', 'capacity', 'seed']);

/** Which operations of a simulated file system fail, and how. May be changed while it is in use. */
export class FaultPlan {
  /** Size of the disk in bytes: a write that needs more is short, or fails with ENOSPC if none of it fits. */
  capacity: number;
  readonly random: SeededRandom;
  readonly #when: ((operation: Operation) => Fault | FaultKind | undefined) | undefined;
  readonly #planned = new Map<number, Fault>();

  constructor(options: FaultPlanOptions = {}) {
    rejectUnknownNames(options, optionNames, 'option of a fault plan');
    this.capacity = options.capacity ?? Infinity;
    this.random = new SeededRandom(options.seed ?? 1);
    this.#when = options.when;
  }

  /** Plans a fault for the operation with this index; operations are counted from 1. */
  failAt(index: number, fault: Fault | FaultKind): this {
    this.#planned.set(index, toFault(fault));
    return this;
  }

  /** The fault of an operation, if it is to have one. */
  faultOf(operation: Operation): Fault | undefined {
    const planned = this.#planned.get(operation.index);
    if (planned !== undefined) {
      return planned;
    }
    const decided = this.#when?.(operation);
    return decided === undefined ? undefined : toFault(decided);
  }
}

function toFault(fault: Fault | FaultKind): Fault {
  return typeof fault === 'string' ? { kind: fault } : fault;
}
