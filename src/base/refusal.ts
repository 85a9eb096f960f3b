import { CorruptionError, VarveError } from './errors.ts';

/** Why bytes are not what they should be: a reason for people, and whether a newer version wrote them. */
export interface Refusal {
  readonly reason: string;
  readonly version?: number;
  /** Where in the structure, if it is one place. */
  readonly at?: number;
  /** The checksum is right, so no torn write and no flipped bit explains it: the bytes were written like this. */
  readonly isIntact?: true;
}

export function isRefusal(decoded: object): decoded is Refusal {
  return 'reason' in decoded;
}

/** The error for a file that a newer version wrote. */
export function unsupportedFormat(path: string, version: number): VarveError {
  return new VarveError(
    'UNSUPPORTED_FORMAT',
    `${path} has format version ${version}, which this version of varve can't read: use a newer one.`,
    { details: { file: path, version } },
  );
}

/** The error for bytes at `offset` that are not what they should be; what a newer version wrote is not damage. */
export function refused(
  path: string,
  offset: number,
  { reason, version, at = 0 }: Refusal,
  position?: number,
): VarveError {
  return version === undefined
    ? new CorruptionError(path, offset + at, reason, undefined, position)
    : unsupportedFormat(path, version);
}
