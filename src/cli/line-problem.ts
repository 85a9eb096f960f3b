/** What is wrong with the input of an import, and where. */
export class LineProblem extends Error {
  override readonly name = 'LineProblem';
  readonly line: number;
  /** Last line, if it is the commit of several lines that is wrong. */
  readonly lastLine: number;
  readonly advice: string | undefined;
  readonly code: string;

  constructor(
    line: number,
    reason: string,
    facts: {
      readonly lastLine?: number;
      readonly advice?: string;
      readonly code?: string;
      readonly cause?: unknown;
    } = {},
  ) {
    super(reason, facts.cause === undefined ? undefined : { cause: facts.cause });
    this.line = line;
    this.lastLine = facts.lastLine ?? line;
    this.advice = facts.advice;
    this.code = facts.code ?? 'BAD_LINE';
  }
}
