/** What was done in the background since the store was opened. */
export interface WorkCounts {
  flushes: number;
  compactions: number;
  moves: number;
  ingests: number;
  bytesRead: number;
  bytesWritten: number;
}

export function noWork(): WorkCounts {
  return { flushes: 0, compactions: 0, moves: 0, ingests: 0, bytesRead: 0, bytesWritten: 0 };
}
