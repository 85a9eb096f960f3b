/** An error with a code of the Level family, for what its programs look at. */
export class LevelError extends Error {
  override readonly name = 'LevelError';
  readonly code: 'LEVEL_LOCKED' | 'LEVEL_DATABASE_NOT_OPEN';

  constructor(code: LevelError['code'], message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
  }
}
