/**
 * Why a text isn't taken: it is not what it should be, or would be stored as something else. The message goes on from the
 * name of the text, so that the same words serve everywhere: `--data` holds …, `the line` holds ….
 */
export class TextProblem extends Error {
  override readonly name = 'TextProblem';
  /** True if it isn't of the form at all; false if it would be changed. */
  readonly isForm: boolean;

  constructor(message: string, { isForm = false, cause }: TextProblemFacts = {}) {
    super(message, cause === undefined ? undefined : { cause });
    this.isForm = isForm;
  }
}

interface TextProblemFacts {
  readonly isForm?: boolean;
  readonly cause?: unknown;
}

const SHOWN_LENGTH_MAX = 64;

/** A text in a message: quoted, and cut if it is long. */
export function quoted(text: string): string {
  return text.length <= SHOWN_LENGTH_MAX
    ? JSON.stringify(text)
    : `${JSON.stringify(text.slice(0, SHOWN_LENGTH_MAX))}…`;
}
