/** Parts that callers give: looked at by their shape, checked where what they give enters, made if they are named by a module. */
import { rejectUnknownNames } from '../base/arguments.ts';
import { VarveError } from '../base/errors.ts';
import { guardedLogger, type Logger, silentLogger } from '../base/logger.ts';
import type { Random } from '../base/random.ts';
import { CheckedClock } from './checked-clock.ts';
import { CheckedRandom } from './checked-random.ts';
import { missingMethodOf } from './checked-file-system.ts';
import type { Clock } from './clock.ts';
import { type ComponentModule, isComponentModule } from './component.ts';
import type { FileSystem } from './file-system.ts';
import { fileSystemOf } from './file-system-of.ts';
import { nodeClock } from './node-clock.ts';
import { nodeRandom } from './node-random.ts';

/** What a call may be given; a store's own parts besides are its own business. */
export interface GivenComponents {
  readonly fileSystem?: FileSystem | ComponentModule;
  readonly clock?: Clock;
  readonly random?: Random;
  readonly logger?: Logger;
}

export interface ResolvedComponents {
  readonly fileSystem: FileSystem;
  readonly clock: Clock;
  readonly random: Random;
  /** Can't throw. */
  readonly logger: Logger;
}

/** Throws `INVALID_ARGUMENT` for names other than `known`, and for what is not what its name says. Makes nothing. */
export function checkComponents(given: GivenComponents, known: ReadonlySet<string>): void {
  rejectUnknownNames(given, known, 'component');
  const { fileSystem, clock, random, logger } = given;
  if (logger !== undefined && typeof logger !== 'function') {
    throw new VarveError(
      'INVALID_ARGUMENT',
      'The component logger must be a function of one entry: give (entry) => logger[entry.level](entry.details, entry.message) for an object with methods.',
    );
  }
  if (clock !== undefined) {
    checkMethods('clock', clock, ['now', 'pause', 'schedule']);
  }
  if (random !== undefined) {
    checkMethods('random', random, ['fill']);
  }
  if (fileSystem !== undefined) {
    checkMethods('fileSystem', fileSystem, []);
    if (!isComponentModule(fileSystem)) {
      checkFileSystem(fileSystem);
    }
  }
}

/** The parts to work with, after `checkComponents`. */
export async function resolveComponents(
  given: GivenComponents,
  known: ReadonlySet<string>,
): Promise<ResolvedComponents> {
  checkComponents(given, known);
  const { fileSystem, clock, random } = given;
  const logger = guardedLogger(given.logger ?? silentLogger);
  return {
    fileSystem: await fileSystemOf(fileSystem),
    clock: checkedClock(clock, logger),
    random: random === undefined ? nodeRandom : new CheckedRandom(random),
    logger,
  };
}

export function checkedClock(given: Clock | undefined, logger: Logger): Clock {
  return given === undefined || given === nodeClock ? nodeClock : new CheckedClock(given, logger);
}

function checkFileSystem(given: object): void {
  const missing = missingMethodOf(given);
  if (missing !== undefined) {
    throw new VarveError(
      'INVALID_ARGUMENT',
      `The component fileSystem has no method ${missing}: give a FileSystem, or name the module that makes one, { module, options }.`,
    );
  }
}

function checkMethods(name: string, part: unknown, methods: readonly string[]): void {
  const isObject = (typeof part === 'object' && part !== null) || typeof part === 'function';
  const missing = isObject
    ? methods.find((method) => typeof (part as Record<string, unknown>)[method] !== 'function')
    : methods[0];
  if (!isObject || missing !== undefined) {
    const what = missing === undefined ? '' : ` with the methods ${methods.join(', ')}`;
    throw new VarveError('INVALID_ARGUMENT', `The component ${name} must be an object${what}.`);
  }
}
