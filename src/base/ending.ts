import { asVarveError, isShortage, withoutApplied } from './errors.ts';
import type { Logger } from './logger.ts';

/**
 * The steps that end a store. Each is tried, whatever became of those before. A failure by which nothing is lost goes to the logger; the
 * first of the others is what the caller hears.
 */
export class Ending {
  readonly #logger: Logger;
  #failure: { readonly cause: unknown } | undefined;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /** `undone`: what is left for the next open if there is no space for it. Any other failure is the caller's to hear. */
  async attempt(step: () => Promise<unknown> | void, undone?: string): Promise<void> {
    try {
      await step();
    } catch (error) {
      if (undone !== undefined && isShortage(error)) {
        this.#tell(undone, error);
      } else {
        this.#failure ??= { cause: error };
      }
    }
  }

  /** Whatever makes the step fail, nothing is lost by it. */
  async tryTo(undone: string, step: () => Promise<unknown> | void): Promise<void> {
    try {
      await step();
    } catch (error) {
      this.#tell(undone, error);
    }
  }

  throwFirst(message: string): void {
    if (this.#failure !== undefined) {
      throw withoutApplied(asVarveError(this.#failure.cause, message));
    }
  }

  #tell(undone: string, cause: unknown): void {
    this.#logger({
      level: 'warn',
      event: 'not-at-rest',
      message: `The store was closed, but could not ${undone}. Nothing is lost: the next open makes up for it.`,
      details: { cause },
    });
  }
}
